// SPDX-License-Identifier: GPL-2.0-only
#include "forkbus.h"

#include <linux/module.h>
#include <linux/random.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/sock.h>

static unsigned int grace_seconds = 30;
module_param_named(grace, grace_seconds, uint, 0644);
MODULE_PARM_DESC(grace, "Seconds for which events wait for a listener that has gone (default 30)");

/* Bytes of records in one message; the longest record fits. */
#define MESSAGE_SIZE (15 * 1024)
#define RETRY_JIFFIES (HZ / 10)
#define GRACE_MAX 86400U

/* A socket that sent START. */
struct listener {
	struct list_head link;
	struct sock *sk; /* held: no later socket can be taken for it; its port may be reused */
	u32 types, args;
};

/* @mutex guards all variables below except @instance, which is constant. Probes never take it. */
static DEFINE_MUTEX(mutex);
static LIST_HEAD(listeners);
static u32 kept, kept_args;	 /* of listeners that left within the grace time */
static unsigned long kept_until; /* jiffies */
static bool stopped;
static u64 instance;

static void do_send(struct work_struct *work);
static void do_grace(struct work_struct *work);

static struct workqueue_struct *workqueue;
static DECLARE_DELAYED_WORK(send_work, do_send);
static DECLARE_DELAYED_WORK(grace_work, do_grace);

static struct genl_family family;

/* Listeners */

static struct listener *find_listener(const struct sock *sk)
{
	struct listener *listener;

	list_for_each_entry(listener, &listeners, link)
		if (listener->sk == sk)
			return listener;
	return NULL;
}

/* Returns how many listeners there are. */
static u32 arm(void)
{
	u32 types = kept, args = kept_args, count = 0;
	struct listener *listener;

	lockdep_assert_held(&mutex);
	list_for_each_entry(listener, &listeners, link) {
		types |= listener->types;
		args = max(args, listener->args);
		count++;
	}
	/* Nothing would disarm it again before the module's memory is freed. */
	if (!stopped)
		forkbus_probes_arm(types, args);
	return count;
}

static void drop_listener(struct listener *listener, bool keep)
{
	unsigned long grace = min(READ_ONCE(grace_seconds), GRACE_MAX) * HZ;

	if (keep && grace) {
		kept |= listener->types;
		kept_args = max(kept_args, listener->args);
		kept_until = jiffies + grace;
		mod_delayed_work(workqueue, &grace_work, grace);
	}
	list_del(&listener->link);
	sock_put(listener->sk);
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

/* Called when a socket is closed; may sleep. Another socket may have its port by now. */
static int on_netlink(struct notifier_block *block, unsigned long event, void *data)
{
	const struct netlink_notify *notify = data;
	struct listener *listener, *next;

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	mutex_lock(&mutex);
	list_for_each_entry_safe(listener, next, &listeners, link)
		if (sock_flag(listener->sk, SOCK_DEAD) && !stopped)
			drop_listener(listener, true);
	mutex_unlock(&mutex);
	return NOTIFY_DONE;
}

static struct notifier_block netlink_notifier = { .notifier_call = on_netlink };

/* Sending */

/*
 * If sending has been requested but has not begun, it will send this record too: it takes the
 * ring's lock later than the writer did. So for most records of a storm the first check, which
 * writes nothing, is enough.
 */
static void wake(unsigned long delay)
{
	if (!delayed_work_pending(&send_work) && genl_has_listeners(&family, &init_net, 0))
		queue_delayed_work(workqueue, &send_work, delay);
}

/* How many messages the queues of listeners had no room for. */
static u32 count_drops(void)
{
	struct listener *listener;
	u32 drops = 0;

	lockdep_assert_held(&mutex);
	list_for_each_entry(listener, &listeners, link)
		drops += atomic_read(&listener->sk->sk_drops);
	return drops;
}

/*
 * Sockets that joined the group's number in another network namespace, which every user may do,
 * count as listeners for the kernel (genl_has_listeners()). They get nothing, so a record is only
 * sent if a socket took it. A listener whose queue is full does not get the message, and requests
 * it again: see REPLAY. The kernel returns ESRCH for both, but counts the latter. Returns whether
 * the message was sent.
 */
static bool multicast(struct sk_buff *skb)
{
	u32 drops;
	bool sent;

	mutex_lock(&mutex);
	drops = count_drops();
	sent = genlmsg_multicast(&family, skb, 0, 0, GFP_KERNEL) != -ESRCH ||
	       count_drops() != drops;
	mutex_unlock(&mutex);
	return sent;
}

static bool send_some(struct forkbus_reader *reader, u32 size)
{
	struct sk_buff *skb = genlmsg_new(nla_total_size_64bit(sizeof(u64)) + size, GFP_KERNEL);
	void *head;

	if (!skb) {
		wake(RETRY_JIFFIES);
		return false;
	}
	head = genlmsg_put(skb, 0, 0, &family, 0, FORKBUS_CMD_EVENTS);
	nla_put_u64_64bit(skb, FORKBUS_A_INSTANCE, instance, FORKBUS_A_PAD);
	skb_put(skb, forkbus_ring_read(reader, skb_tail_pointer(skb), skb_tailroom(skb)));
	genlmsg_end(skb, head);
	return multicast(skb);
}

static void do_send(struct work_struct *work)
{
	struct forkbus_ring_status ring;

	while ((ring = forkbus_ring_get_status()).unsent &&
	       send_some(&ring.sent, min_t(u32, ring.unsent, MESSAGE_SIZE)))
		forkbus_ring_sent(&ring.sent);
}

/* Commands */

static int start(struct sock *sk, u32 types, u32 args)
{
	struct listener *listener = find_listener(sk);
	int err = stopped ? -ESHUTDOWN : forkbus_ring_alloc(wake) ?: forkbus_records_alloc();

	if (err)
		return err;
	if (!listener) {
		listener = kzalloc(sizeof(*listener), GFP_KERNEL);
		if (!listener)
			return -ENOMEM;
		sock_hold(sk);
		listener->sk = sk;
		list_add_tail(&listener->link, &listeners);
	}
	listener->types = types;
	listener->args = args;
	/* Records from before the last silence are history. */
	if (!forkbus_armed)
		forkbus_ring_sent(NULL);
	arm();
	return 0;
}

static int cmd_start(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *mask = info->attrs[FORKBUS_A_MASK], *args = info->attrs[FORKBUS_A_ARGS];
	int err;

	if (GENL_REQ_ATTR_CHECK(info, FORKBUS_A_MASK))
		return -EINVAL;
	mutex_lock(&mutex);
	err = start(NETLINK_CB(skb).sk, nla_get_u32(mask), args ? nla_get_u32(args) : 0);
	mutex_unlock(&mutex);
	/* Records that were kept for such a listener. */
	if (!err)
		wake(0);
	return err;
}

static int cmd_stop(struct sk_buff *skb, struct genl_info *info)
{
	struct listener *listener;

	mutex_lock(&mutex);
	listener = find_listener(NETLINK_CB(skb).sk);
	if (listener)
		drop_listener(listener, false);
	mutex_unlock(&mutex);
	if (!listener)
		NL_SET_ERR_MSG(info->extack, "this socket has not sent START");
	return listener ? 0 : -ENOENT;
}

/* There is room for all of it. */
static void put_status(struct sk_buff *skb, u32 n_listeners)
{
	struct forkbus_ring_status ring = forkbus_ring_get_status();
	struct nlattr *nest;

	nla_put_u64_64bit(skb, FORKBUS_A_INSTANCE, instance, FORKBUS_A_PAD);
	nla_put_string(skb, FORKBUS_A_VERSION, FORKBUS_VERSION);
	nla_put_u32(skb, FORKBUS_A_SUPPORTED, forkbus_supported);
	nla_put_u32(skb, FORKBUS_A_ARMED, forkbus_armed);
	nla_put_u32(skb, FORKBUS_A_LISTENERS, n_listeners);
	nla_put_u32(skb, FORKBUS_A_GRACE, grace_seconds);
	nla_put_u32(skb, FORKBUS_A_RING_SIZE, ring.size);
	nla_put_u32(skb, FORKBUS_A_RING_USED, ring.unsent);
	nla_put_u64_64bit(skb, FORKBUS_A_FIRST, ring.first, FORKBUS_A_PAD);
	nla_put_u64_64bit(skb, FORKBUS_A_LAST, ring.last, FORKBUS_A_PAD);
	nla_put_u64_64bit(skb, FORKBUS_A_SENT, ring.sent.seq, FORKBUS_A_PAD);
	for (u32 type = 0; type < __FORKBUS_TYPE_MAX; type++) {
		if (!ring.lost[type])
			continue;
		nest = nla_nest_start(skb, FORKBUS_A_LOST);
		nla_put_u32(skb, FORKBUS_L_TYPE, type);
		nla_put_u64_64bit(skb, FORKBUS_L_COUNT, ring.lost[type], FORKBUS_L_PAD);
		nla_nest_end(skb, nest);
	}
}

static int cmd_status(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *head;

	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &family, 0, FORKBUS_CMD_STATUS);
	mutex_lock(&mutex);
	put_status(reply, arm());
	mutex_unlock(&mutex);
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

/* The state of a dump between two messages. */
struct replay {
	struct forkbus_reader reader;
	u64 last; /* later records are not requested */
	bool begun;
};

/* They have been checked with the policy already. */
static u64 dump_attribute(struct netlink_callback *cb, int attribute, u64 otherwise)
{
	struct nlattr *nla = nla_find(nlmsg_attrdata(cb->nlh, GENL_HDRLEN),
				      nlmsg_attrlen(cb->nlh, GENL_HDRLEN), attribute);

	return nla ? nla_get_u64(nla) : otherwise;
}

static int replay_start(struct netlink_callback *cb)
{
	struct replay *replay = (struct replay *)cb->ctx;

	BUILD_BUG_ON(sizeof(*replay) > sizeof(cb->ctx));
	if (dump_attribute(cb, FORKBUS_A_INSTANCE, instance) != instance) {
		NL_SET_ERR_MSG(cb->extack, "the module was reloaded since then");
		return -ESTALE;
	}
	replay->reader.seq = dump_attribute(cb, FORKBUS_A_FROM, 0);
	cb->min_dump_alloc = MESSAGE_SIZE + NLMSG_GOODSIZE / 2;
	return 0;
}

static int replay_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct replay *replay = (struct replay *)cb->ctx;
	struct forkbus_ring_status ring;
	bool begun = replay->begun;
	size_t size;
	void *head;

	if (begun && replay->reader.seq >= replay->last)
		return 0;
	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &family,
			   NLM_F_MULTI, FORKBUS_CMD_REPLAY);
	if (!head || nla_put_u64_64bit(skb, FORKBUS_A_INSTANCE, instance, FORKBUS_A_PAD))
		return -EMSGSIZE;
	/* Before the first records: check that there are some. */
	if (!begun) {
		ring = forkbus_ring_get_status();
		nla_put_u64_64bit(skb, FORKBUS_A_FIRST, ring.first, FORKBUS_A_PAD);
		nla_put_u64_64bit(skb, FORKBUS_A_LAST, ring.last, FORKBUS_A_PAD);
		replay->last = ring.last;
		replay->begun = true;
	}
	size = forkbus_ring_read(&replay->reader, skb_tail_pointer(skb), skb_tailroom(skb));
	skb_put(skb, size);
	if (!size && begun) {
		genlmsg_cancel(skb, head);
		return 0;
	}
	genlmsg_end(skb, head);
	return skb->len;
}

/* The family */

static const struct nla_policy policy[] = {
	[FORKBUS_A_INSTANCE] = { .type = NLA_U64 },
	[FORKBUS_A_MASK] = NLA_POLICY_MASK(NLA_U32, FORKBUS_MASK(__FORKBUS_TYPE_MAX) - 1),
	[FORKBUS_A_ARGS] = NLA_POLICY_MAX(NLA_U32, FORKBUS_ARGS_MAX),
	[FORKBUS_A_FROM] = { .type = NLA_U64 },
};

/* Each requires CAP_NET_ADMIN in the initial user namespace. */
static const struct genl_ops ops[] = {
	{ .cmd = FORKBUS_CMD_START, .flags = GENL_ADMIN_PERM, .doit = cmd_start },
	{ .cmd = FORKBUS_CMD_STOP, .flags = GENL_ADMIN_PERM, .doit = cmd_stop },
	{ .cmd = FORKBUS_CMD_STATUS, .flags = GENL_ADMIN_PERM, .doit = cmd_status },
	{ .cmd = FORKBUS_CMD_REPLAY,
	  .flags = GENL_ADMIN_PERM,
	  .start = replay_start,
	  .dumpit = replay_dump },
};

static const struct genl_multicast_group groups[] = {
	{ .name = FORKBUS_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

/* Only in the initial network namespace. */
static struct genl_family family __ro_after_init = {
	.name = FORKBUS_FAMILY_NAME,
	.version = FORKBUS_FAMILY_VERSION,
	.policy = policy,
	.maxattr = ARRAY_SIZE(policy) - 1,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
	.module = THIS_MODULE,
};

int forkbus_netlink_init(void)
{
	int err;

	instance = get_random_u64() | 1;
	workqueue = alloc_ordered_workqueue("forkbus", 0);
	if (!workqueue)
		return -ENOMEM;
	err = netlink_register_notifier(&netlink_notifier) ?: genl_register_family(&family);
	if (err) {
		netlink_unregister_notifier(&netlink_notifier);
		destroy_workqueue(workqueue);
	}
	return err;
}

void forkbus_netlink_exit(void)
{
	struct listener *listener, *next;

	mutex_lock(&mutex);
	stopped = true;
	mutex_unlock(&mutex);
	cancel_delayed_work_sync(&grace_work);
	forkbus_probes_exit();
	cancel_delayed_work_sync(&send_work);
	do_send(NULL);
	genl_unregister_family(&family);
	netlink_unregister_notifier(&netlink_notifier);
	cancel_delayed_work_sync(&send_work);
	destroy_workqueue(workqueue);
	list_for_each_entry_safe(listener, next, &listeners, link) {
		sock_put(listener->sk);
		kfree(listener);
	}
}
