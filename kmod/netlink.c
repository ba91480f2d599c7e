// SPDX-License-Identifier: GPL-2.0-only
#include "netlink.h"

#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/netlink.h>

#include "probes.h"
#include "record.h"
#include "ring.h"

static unsigned int grace_seconds = 30;
module_param_named(grace, grace_seconds, uint, 0644);
MODULE_PARM_DESC(grace,
		 "Seconds for which events are kept for a listener that has gone (default 30)");

/* Of records in one message; the longest one fits. */
#define MESSAGE_SIZE (15 * 1024)
#define RETRY_JIFFIES (HZ / 10)
#define GRACE_MAX 86400U

/* A socket that sent START. */
struct listener {
	struct list_head link;
	u32 portid;
	u32 types;
	u32 args;
};

/* All below is guarded by @mutex, but @instance, which is constant. No probe takes it. */
static DEFINE_MUTEX(mutex);
static LIST_HEAD(listeners);
static u32 kept, kept_args;	 /* of those who went within the grace time */
static unsigned long kept_until; /* jiffies */
static bool stopped;
static u64 instance;

static void do_send(struct work_struct *work);
static void do_grace(struct work_struct *work);

static struct workqueue_struct *workqueue;
static DECLARE_DELAYED_WORK(send_work, do_send);
static DECLARE_DELAYED_WORK(grace_work, do_grace);

static struct genl_family family;

/* Who listens */

static struct listener *find_listener(u32 portid)
{
	struct listener *listener;

	lockdep_assert_held(&mutex);
	list_for_each_entry(listener, &listeners, link)
		if (listener->portid == portid)
			return listener;
	return NULL;
}

static void arm(void)
{
	struct listener *listener;
	u32 types = kept, args = kept_args;

	lockdep_assert_held(&mutex);
	/* Nobody would disarm it again before the module's memory goes. */
	if (stopped)
		return;
	list_for_each_entry(listener, &listeners, link) {
		types |= listener->types;
		args = max(args, listener->args);
	}
	forkbus_probes_set_args(args);
	forkbus_probes_arm(types);
}

static void drop_listener(struct listener *listener, bool keep)
{
	unsigned long grace = min(READ_ONCE(grace_seconds), GRACE_MAX) * HZ;

	lockdep_assert_held(&mutex);
	if (keep && grace) {
		kept |= listener->types;
		kept_args = max(kept_args, listener->args);
		kept_until = jiffies + grace;
		mod_delayed_work(workqueue, &grace_work, grace);
	}
	list_del(&listener->link);
	kfree(listener);
	arm();
}

static void do_grace(struct work_struct *work)
{
	mutex_lock(&mutex);
	if (time_after_eq(jiffies, kept_until)) {
		kept = 0;
		kept_args = 0;
		arm();
	}
	mutex_unlock(&mutex);
}

/* A socket is closed: may sleep. Its port may be another's soon. */
static int on_netlink(struct notifier_block *block, unsigned long event, void *data)
{
	const struct netlink_notify *notify = data;
	struct listener *listener;

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC ||
	    !net_eq(notify->net, &init_net))
		return NOTIFY_DONE;
	mutex_lock(&mutex);
	listener = stopped ? NULL : find_listener(notify->portid);
	if (listener)
		drop_listener(listener, true);
	mutex_unlock(&mutex);
	return NOTIFY_DONE;
}

static struct notifier_block netlink_notifier = { .notifier_call = on_netlink };

/* Sending */

static bool anybody_listens(void)
{
	return genl_has_listeners(&family, &init_net, 0);
}

void forkbus_netlink_wake(unsigned long delay)
{
	if (anybody_listens())
		queue_delayed_work(workqueue, &send_work, delay);
}

/* Appends records to a message. Returns the bytes that they take. */
static size_t put_records(struct sk_buff *skb, struct forkbus_reader *reader)
{
	size_t size = forkbus_ring_read(reader, skb_tail_pointer(skb), skb_tailroom(skb));

	skb_put(skb, size);
	return size;
}

/* Whoever does not get it, since its socket is full, asks for it again: see REPLAY. */
static int send_some(struct forkbus_reader *reader, u32 size)
{
	struct sk_buff *skb = genlmsg_new(nla_total_size_64bit(sizeof(u64)) + size, GFP_KERNEL);
	void *head;

	if (!skb)
		return -ENOMEM;
	head = genlmsg_put(skb, 0, 0, &family, 0, FORKBUS_CMD_EVENTS);
	if (!head || nla_put_u64_64bit(skb, FORKBUS_A_INSTANCE, instance, FORKBUS_A_PAD)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	put_records(skb, reader);
	genlmsg_end(skb, head);
	genlmsg_multicast(&family, skb, 0, 0, GFP_KERNEL);
	forkbus_ring_sent(reader);
	return 0;
}

static void do_send(struct work_struct *work)
{
	struct forkbus_reader reader;
	u32 unsent;

	while (anybody_listens() && (unsent = forkbus_ring_unsent(&reader))) {
		if (send_some(&reader, min_t(u32, unsent, MESSAGE_SIZE))) {
			forkbus_netlink_wake(RETRY_JIFFIES);
			break;
		}
		cond_resched();
	}
}

/* Commands */

static int start_listener(u32 portid, u32 types, u32 args)
{
	struct listener *listener = find_listener(portid);

	if (stopped)
		return -ESHUTDOWN;
	if (!listener) {
		listener = kzalloc(sizeof(*listener), GFP_KERNEL);
		if (!listener)
			return -ENOMEM;
		listener->portid = portid;
		list_add_tail(&listener->link, &listeners);
	}
	listener->types = types;
	listener->args = args;
	/* What happened before the last silence is history. */
	if (!forkbus_probes_armed())
		forkbus_ring_forget();
	arm();
	return 0;
}

static int cmd_start(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *args = info->attrs[FORKBUS_A_ARGS];
	int err;

	if (GENL_REQ_ATTR_CHECK(info, FORKBUS_A_MASK))
		return -EINVAL;
	mutex_lock(&mutex);
	err = forkbus_ring_alloc();
	if (!err)
		err = forkbus_records_alloc();
	if (!err)
		err = start_listener(info->snd_portid, nla_get_u32(info->attrs[FORKBUS_A_MASK]),
				     args ? nla_get_u32(args) : 0);
	mutex_unlock(&mutex);
	/* What was kept for somebody like this one. */
	forkbus_netlink_wake(0);
	return err;
}

static int cmd_stop(struct sk_buff *skb, struct genl_info *info)
{
	struct listener *listener;

	mutex_lock(&mutex);
	listener = find_listener(info->snd_portid);
	if (listener)
		drop_listener(listener, false);
	mutex_unlock(&mutex);
	if (listener)
		return 0;
	NL_SET_ERR_MSG(info->extack, "this socket has not sent START");
	return -ENOENT;
}

static int put_lost(struct sk_buff *skb, u32 type, u64 count)
{
	struct nlattr *nest = nla_nest_start(skb, FORKBUS_A_LOST);

	if (!nest || nla_put_u32(skb, FORKBUS_L_TYPE, type) ||
	    nla_put_u64_64bit(skb, FORKBUS_L_COUNT, count, FORKBUS_L_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_ring(struct sk_buff *skb)
{
	struct forkbus_ring_status ring;

	forkbus_ring_get_status(&ring);
	if (nla_put_u32(skb, FORKBUS_A_RING_SIZE, ring.size) ||
	    nla_put_u32(skb, FORKBUS_A_RING_USED, ring.unsent) ||
	    nla_put_u64_64bit(skb, FORKBUS_A_FIRST, ring.first, FORKBUS_A_PAD) ||
	    nla_put_u64_64bit(skb, FORKBUS_A_LAST, ring.last, FORKBUS_A_PAD) ||
	    nla_put_u64_64bit(skb, FORKBUS_A_SENT, ring.sent, FORKBUS_A_PAD))
		return -EMSGSIZE;
	for (u32 type = 0; type < __FORKBUS_TYPE_MAX; type++)
		if (ring.lost[type] && put_lost(skb, type, ring.lost[type]))
			return -EMSGSIZE;
	return 0;
}

static int put_status(struct sk_buff *skb)
{
	struct listener *listener;
	u32 count = 0;

	lockdep_assert_held(&mutex);
	list_for_each_entry(listener, &listeners, link)
		count++;
	if (nla_put_u64_64bit(skb, FORKBUS_A_INSTANCE, instance, FORKBUS_A_PAD) ||
	    nla_put_string(skb, FORKBUS_A_VERSION, FORKBUS_VERSION) ||
	    nla_put_u32(skb, FORKBUS_A_SUPPORTED, forkbus_probes_supported()) ||
	    nla_put_u32(skb, FORKBUS_A_ARMED, forkbus_probes_armed()) ||
	    nla_put_u32(skb, FORKBUS_A_LISTENERS, count) ||
	    nla_put_u32(skb, FORKBUS_A_GRACE, grace_seconds))
		return -EMSGSIZE;
	return put_ring(skb);
}

static int cmd_status(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *head;
	int err;

	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &family, 0, FORKBUS_CMD_STATUS);
	mutex_lock(&mutex);
	err = head ? put_status(reply) : -EMSGSIZE;
	mutex_unlock(&mutex);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

/* A dump: its state between two messages. */
struct replay {
	struct forkbus_reader reader;
	u64 last; /* what comes later is not asked for */
	bool begun;
};

static struct replay *replay_of(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct replay) > sizeof(cb->ctx));
	return (struct replay *)cb->ctx;
}

/* The policy has been held against them already. */
static struct nlattr *dump_attribute(struct netlink_callback *cb, int attribute)
{
	return nla_find(nlmsg_attrdata(cb->nlh, GENL_HDRLEN), nlmsg_attrlen(cb->nlh, GENL_HDRLEN),
			attribute);
}

static int replay_start(struct netlink_callback *cb)
{
	struct nlattr *from = dump_attribute(cb, FORKBUS_A_FROM);
	struct nlattr *of = dump_attribute(cb, FORKBUS_A_INSTANCE);
	struct forkbus_ring_status ring;

	if (of && nla_get_u64(of) != instance) {
		NL_SET_ERR_MSG(cb->extack, "the module was loaded anew since then");
		return -ESTALE;
	}
	forkbus_ring_get_status(&ring);
	forkbus_ring_seek(&replay_of(cb)->reader, from ? nla_get_u64(from) : 0);
	replay_of(cb)->last = ring.last;
	cb->min_dump_alloc = MESSAGE_SIZE + NLMSG_GOODSIZE / 2;
	return 0;
}

/* Before the first records: what there is. */
static int replay_head(struct sk_buff *skb, struct replay *replay)
{
	struct forkbus_ring_status ring;

	if (nla_put_u64_64bit(skb, FORKBUS_A_INSTANCE, instance, FORKBUS_A_PAD))
		return -EMSGSIZE;
	if (replay->begun)
		return 0;
	forkbus_ring_get_status(&ring);
	replay->begun = true;
	return nla_put_u64_64bit(skb, FORKBUS_A_FIRST, ring.first, FORKBUS_A_PAD) ||
			       nla_put_u64_64bit(skb, FORKBUS_A_LAST, replay->last, FORKBUS_A_PAD) ?
		       -EMSGSIZE :
		       0;
}

static int replay_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct replay *replay = replay_of(cb);
	bool begun = replay->begun;
	void *head;

	if (begun && replay->reader.seq >= replay->last)
		return 0;
	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &family,
			   NLM_F_MULTI, FORKBUS_CMD_REPLAY);
	if (!head || replay_head(skb, replay))
		return -EMSGSIZE;
	if (!put_records(skb, &replay->reader) && begun) {
		genlmsg_cancel(skb, head);
		return 0;
	}
	genlmsg_end(skb, head);
	return skb->len;
}

/* The family */

static const struct nla_policy start_policy[] = {
	[FORKBUS_A_MASK] = { .type = NLA_U32 },
	[FORKBUS_A_ARGS] = NLA_POLICY_MAX(NLA_U32, FORKBUS_ARGS_MAX),
};

static const struct nla_policy replay_policy[] = {
	[FORKBUS_A_INSTANCE] = { .type = NLA_U64 },
	[FORKBUS_A_FROM] = { .type = NLA_U64 },
};

/* Each asks for CAP_NET_ADMIN in the initial user namespace. */
static const struct genl_ops ops[] = {
	{
		.cmd = FORKBUS_CMD_START,
		.flags = GENL_ADMIN_PERM,
		.policy = start_policy,
		.maxattr = ARRAY_SIZE(start_policy) - 1,
		.doit = cmd_start,
	},
	{
		.cmd = FORKBUS_CMD_STOP,
		.flags = GENL_ADMIN_PERM,
		.doit = cmd_stop,
	},
	{
		.cmd = FORKBUS_CMD_STATUS,
		.flags = GENL_ADMIN_PERM,
		.doit = cmd_status,
	},
	{
		.cmd = FORKBUS_CMD_REPLAY,
		.flags = GENL_ADMIN_PERM,
		.policy = replay_policy,
		.maxattr = ARRAY_SIZE(replay_policy) - 1,
		.start = replay_start,
		.dumpit = replay_dump,
	},
};

static const struct genl_multicast_group groups[] = {
	{ .name = FORKBUS_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

/* Of the initial network namespace alone. */
static struct genl_family family __ro_after_init = {
	.name = FORKBUS_FAMILY_NAME,
	.version = FORKBUS_FAMILY_VERSION,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
	.module = THIS_MODULE,
};

int forkbus_netlink_init(void)
{
	int err;

	do {
		instance = get_random_u64();
	} while (!instance);

	workqueue = alloc_ordered_workqueue("forkbus", 0);
	if (!workqueue)
		return -ENOMEM;
	err = netlink_register_notifier(&netlink_notifier);
	if (err)
		goto err_workqueue;
	err = genl_register_family(&family);
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	netlink_unregister_notifier(&netlink_notifier);
err_workqueue:
	destroy_workqueue(workqueue);
	return err;
}

void forkbus_netlink_stop(void)
{
	mutex_lock(&mutex);
	stopped = true;
	mutex_unlock(&mutex);
	cancel_delayed_work_sync(&grace_work);
}

void forkbus_netlink_exit(void)
{
	struct listener *listener, *next;

	cancel_delayed_work_sync(&send_work);
	do_send(NULL);
	genl_unregister_family(&family);
	netlink_unregister_notifier(&netlink_notifier);
	cancel_delayed_work_sync(&send_work);
	destroy_workqueue(workqueue);
	list_for_each_entry_safe(listener, next, &listeners, link)
		kfree(listener);
}
