// SPDX-License-Identifier: GPL-2.0-only
/*
 * fault: a module with deliberate faults, to verify that the kernel detects them. Each fault is over when loading ends; loading
 * always fails.
 */
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

static char *what;
module_param(what, charp, 0);

static DEFINE_RAW_SPINLOCK(outer);
static DEFINE_SPINLOCK(inner);
static int __rcu *guarded;

struct object {
	struct timer_list timer;
};

static void do_nothing(struct timer_list *timer)
{
}

static void fault_sleep(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static void fault_rcu(void)
{
	WARN_ON(rcu_dereference(guarded));
}

static void fault_object(void)
{
	struct object *object = kzalloc(sizeof(*object), GFP_KERNEL);

	timer_setup(&object->timer, do_nothing, 0);
	mod_timer(&object->timer, jiffies + 3600 * HZ);
	kfree(object);
}

static void fault_leak(void)
{
	char *volatile lost = kzalloc(500, GFP_KERNEL);

	lost = NULL;
	(void)lost;
}

/* On PREEMPT_RT the inner one sleeps. */
static void fault_nesting(void)
{
	raw_spin_lock(&outer);
	spin_lock(&inner);
	spin_unlock(&inner);
	raw_spin_unlock(&outer);
}

static void fault_free(void)
{
	char *volatile data = kzalloc(64, GFP_KERNEL);

	kfree(data);
	WRITE_ONCE(data[5], 1);
}

static void fault_ring(void)
{
	char *volatile data = vmalloc(3 * PAGE_SIZE - 16);

	READ_ONCE(data[3 * PAGE_SIZE - 8]);
	vfree(data);
}

static void fault_cpu(void)
{
	pr_info("fault: on processor %u\n", smp_processor_id());
}

static const struct {
	const char *name;
	void (*commit)(void);
} faults[] = {
	{ "sleep", fault_sleep }, { "rcu", fault_rcu },		{ "object", fault_object },
	{ "leak", fault_leak },	  { "nesting", fault_nesting }, { "free", fault_free },
	{ "ring", fault_ring },	  { "cpu", fault_cpu },
};

static int __init fault_init(void)
{
	for (unsigned int i = 0; what && i < ARRAY_SIZE(faults); i++)
		if (!strcmp(what, faults[i].name))
			faults[i].commit();
	return -ECANCELED;
}

module_init(fault_init);

MODULE_DESCRIPTION("Faults that a kernel for debugging has to see");
MODULE_LICENSE("GPL");
