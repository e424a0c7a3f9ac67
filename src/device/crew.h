/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The crew of one queue: the threads that serve it, its members.
 *
 * One member leads: it alone sleeps on the queue's kick, pops requests and
 * carries them out itself, one after the other. The others rest, or are at work
 * on a request that has taken them from the lead.
 *
 * Who leads is one word. While the leader is at work on a request (LEAD_ACTS) the
 * lead can be taken from it, and only then: by itself, when it is about to make
 * a call that may block (crew_blocks()), by the watchdog, when it has been
 * at it for too long, and by a member that has nothing to do, when the queue has
 * fallen behind and two are faster (LEAD_BEHIND, device/help.h). The leader finds
 * out when it is done, answers its request and goes to rest. So what belongs to
 * the popping thread is never touched by two, and no request waits for another
 * one's system call.
 *
 * Only the watchdog (device/watchdog.h) and the control thread start threads: a
 * leader may be somebody else on the host just then.
 */
#ifndef DEVICE_CREW_H
#define DEVICE_CREW_H

#include <pthread.h>
#include <stdbool.h>

#include "base/stats.h"
#include "device/gate.h"
#include "device/help.h"
#include "device/quick.h"
#include "fs/request.h"
#include "virtio/queue.h"

struct crew;
struct device;

/* Members of one queue, at most. */
#define CREW_MEMBERS_MAX 64U

/* Looks at a word that another CPU changes, between two questions after the time. */
#define CREW_LOOKS 16

/* The lead's word: number of the leader (0: nobody) + 1, bits, a count of
 * changes. */
#define LEAD_MEMBER 0xffU
#define LEAD_ACTS 0x100U /* it is at work on a request */
#define LEAD_BLOCKED 0x200U /* whoever comes is to take the lead */
#define LEAD_BEHIND 0x400U /* while it acts: whoever is awake may take the lead */
#define LEAD_ONE 0x800U

/* A request and its reply: reused for each, big and mostly untouched. */
struct slot {
	struct member *member;
	struct chain chain;
	struct request rq;
	struct stats stats; /* of all that its member has served */
	struct iovec iov[CHAIN_IOV_MAX];
};

enum member_exclusive {
	EXCLUSIVE_NONE,
	EXCLUSIVE_WAITS, /* for the control thread */
	EXCLUSIVE_DONE, /* is on the used ring: the thread tells the guest */
};

struct member {
	struct gate_pass pass;
	struct crew *crew;
	unsigned int no; /* within the crew */
	struct tally *tally; /* of the request in the slot; arena */
	uint64_t start; /* when it began to act, in ns, if it is timed; or 0 */
	struct slot *slot;
	/* The thread's own: */
	uint64_t remote; /* since when it is at a call that may block, in ns; or 0 */
	bool kept; /* it was not to hand the lead over for that */
	bool leads; /* as far as it knows */
	bool helps; /* it took the lead from one that was not in trouble */
	bool is_new; /* it has not come to rest yet */
	uint64_t word; /* the lead's, as it has set it */
	/* Notifications since the last look at involuntary switches, and those then. */
	int told;
	long switches;
	/* The slot holds a request that the control thread has to carry out ... */
	_Atomic uint32_t exclusive; /* enum member_exclusive */
	_Atomic uint32_t go; /* it has the lead, or is to end */
	/* crew->lock: */
	struct member *next; /* among those that rest */
	bool rests, runs;
	pthread_t thread; /* the starting thread's */
	bool joinable;
};

enum crew_memory {
	MEMORY_TRUSTED_SO_FAR,
	MEMORY_IN_DOUBT, /* kicked, and the ring is as if never used */
	MEMORY_CHECKED,
};

struct crew {
	struct queue queue;
	struct gate gate;
	_Atomic uint64_t lead _cacheline_;
	struct device *dev _cacheline_;
	int epoll_fd;
	int wake_fd;
	int polled_fd; /* the kick descriptor in the epoll set; -1: none */
	_Atomic int sleep_ms; /* how long at most; -1: until kicked */
	_Atomic unsigned int memory; /* enum crew_memory: the leader's */
	/* How long to look at an empty ring before sleeping, in ns; the leader's. */
	uint64_t window;
	atomic_bool shares_cpu; /* the guest runs on the leader's CPU, too */
	/* The leader's: wake-ups by the guest, windows that were waited through,
	 * and those in which something came. */
	stats_counter kicks, polls, polls_paid;
	/* What a request takes, in ns, on average of the ones that were timed; 0:
	 * nobody knows yet. */
	_Atomic uint32_t typical;
	/* Completions that the guest was not told of yet: the leader tells, or whoever
	 * leads next. */
	_Atomic uint32_t held;
	struct help help;
	struct quick quick;
	/* The leader's: times that a member helped, and as of the last look. */
	stats_counter helped;
	uint64_t helped_seen;
	atomic_bool hot; /* a member without work is awake, and looks at the lead */
	atomic_bool wants_member; /* nobody rests who could help */
	/* The guest is to be told of what is on the used ring by now. */
	atomic_bool tell_anyway;
	_Atomic uint32_t stop;
	pthread_mutex_t lock; /* rank 27 */
	struct member *resting; /* lock: the one that came last is first */
	bool lacks_threads; /* lock: and the log says so */
	struct member *starting; /* lock: has not come to rest yet; NULL: none */
	/* Made by the starting thread, and never taken away. */
	struct member *member[CREW_MEMBERS_MAX];
	atomic_uint n_members;
};

#define for_each_member(crew, m)                                               \
	for (unsigned int m_ = 0;                                              \
	     m_ < atomic_load(&(crew)->n_members) &&                           \
	     ((m) = (crew)->member[m_]) != NULL;                               \
	     m_++)

/* Makes queue @index of the device; its threads come with the first start. */
int crew_create(struct device *dev, unsigned int index, struct crew **ret);

/* Tells the threads to end, each after the request that it is carrying out. The
 * watchdog has ended. */
void crew_stop(struct crew *crew);

/*
 * Waits for stopped threads until @deadline (of the real-time clock) and frees
 * everything. -ETIMEDOUT if one hangs in a system call: then nothing is freed,
 * since it may still use any of it.
 */
int crew_destroy(struct crew *crew, const struct timespec *deadline);

/* Starts the first member, and the watchdog, unless they are there. Control
 * thread. */
int crew_start(struct crew *crew);

/* Listens to a new kick descriptor (consumed; -1: none, the ring is polled)
 * instead of the present one, which is closed. 0 or -errno. */
int crew_set_kick(struct crew *crew, int *fd);

/* Listens to the kick descriptor that the queue's record names. 0 or -errno. */
int crew_listen(struct crew *crew);

/* Makes the leader look at its gate and its ring. Any thread. */
void crew_wake(struct crew *crew);

/*
 * The leader has been at work since @word was the lead's: another member gets
 * the lead, one that rests or a new one. The watchdog.
 */
void crew_relieve(struct crew *crew, uint64_t word);

/* For member.c. A member that does not lead: waits until it does; false if it
 * is to end. */
bool crew_rest(struct member *m);

/* Around each request: begins, and ends, at which m->leads says what came of the
 * lead. @behind: others may have it meanwhile. */
void crew_act(struct member *m, bool behind);
void crew_acted(struct member *m);

/* The queue is behind, and help is on: sees to it that there is somebody to help.
 * The leader, now and then. */
void crew_call_help(struct crew *crew);

/* The watchdog: a member that was called for and that nobody was there for. */
void crew_add_wanted(struct crew *crew);

/* The request at work is about to make a call that may block. */
void crew_blocks(struct member *m);

/* Between looks: lets others have the CPU. Returns whether somebody wanted it; @now,
 * in ns, is brought up to date. syscalls: sched_yield */
bool crew_yield(uint64_t *now);

/* member.c: tells the guest of the completions that were held. Any member. */
void member_tell(struct member *m);

/* member.c: the thread itself. */
void *member_main(void *arg);

/* Carries out the decoded request in the slot; the thread then tells the guest.
 * Control thread, all gates closed. */
void member_run_exclusive(struct member *m);

/* Waits until it has, at most @ms: 0 or -ETIMEDOUT. */
int member_wait_told(struct member *m, unsigned int ms);

#endif
