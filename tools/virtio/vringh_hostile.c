// SPDX-License-Identifier: GPL-2.0
/*
 * What the host's side of a ring makes of a driver's side that is hostile, in
 * user and in kernel memory.  Prints TAP.
 *
 * Each case runs in a process of its own that has little time and memory and
 * nothing mapped behind the driver's memory: a loop without end, or an access
 * out of bounds, is a case that fails.
 */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <linux/kernel.h>
#include <linux/virtio.h>
#include <linux/vringh.h>
#include <linux/virtio_ring.h>
#include <linux/uaccess.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

void *__user_addr_min, *__user_addr_max;
void *__kmalloc_fake, *__kfree_ignore_start, *__kfree_ignore_end;

#define NUM	8
#define ALIGN	64
#define SECONDS	10
#define MEMORY	(32UL << 20)

#define NEXT		VRING_DESC_F_NEXT
#define WRITE_ONLY	VRING_DESC_F_WRITE
#define INDIRECT	VRING_DESC_F_INDIRECT

static bool in_user, failed;

/* The driver's memory: a page of rings and a page of tables; then buffers. */
static struct vring_desc *desc, *table;
static char *data, *end;

static struct vringh vrh;
static struct kvec rvec[2], wvec[2];
static struct vringh_kiov riov, wiov;
static u16 head;

static bool getrange(struct vringh *vrh, u64 addr, struct vringh_range *r)
{
	r->start = (unsigned long)__user_addr_min;
	r->end_incl = (unsigned long)__user_addr_max - 1;
	r->offset = 0;
	return addr >= r->start && addr <= r->end_incl;
}

static void start(u64 features)
{
	struct vring *v = &vrh.vring;

	if (in_user)
		vringh_init_user(&vrh, features, NUM, true, v->desc, v->avail,
				 v->used);
	else
		vringh_init_kern(&vrh, features, NUM, true, v->desc, v->avail,
				 v->used);
	vringh_kiov_init(&riov, rvec, ARRAY_SIZE(rvec));
	vringh_kiov_init(&wiov, wvec, ARRAY_SIZE(wvec));
}

static void setup(void)
{
	size_t size = 3 * PAGE_SIZE;
	void *mem;

	mem = mmap(NULL, size + PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		err(1, "mmap");
	__user_addr_min = mem;
	__user_addr_max = mem + size;
	end = mem + size;
	if (mprotect(end, PAGE_SIZE, PROT_NONE))
		err(1, "mprotect");

	vring_init(&vrh.vring, NUM, mem, ALIGN);
	desc = vrh.vring.desc;
	table = mem + PAGE_SIZE;
	data = mem + 2 * PAGE_SIZE;
	start(1 << VIRTIO_RING_F_INDIRECT_DESC);
}

static void fill(struct vring_desc *d, void *addr, u32 len, u16 flags, u16 next)
{
	d->addr = (unsigned long)addr;
	d->len = len;
	d->flags = flags;
	d->next = next;
}

/* @num descriptors in a row from @d on, each of one byte to be read. */
static void chain(struct vring_desc *d, int num)
{
	int i;

	for (i = 0; i < num; i++)
		fill(&d[i], data + i, 1, i < num - 1 ? NEXT : 0, i + 1);
}

static void post(u16 i)
{
	struct vring_avail *avail = vrh.vring.avail;

	avail->ring[avail->idx++ % NUM] = i;
}

static int get(void)
{
	if (in_user)
		return vringh_getdesc_user(&vrh, (struct vringh_iov *)&riov,
					   (struct vringh_iov *)&wiov,
					   getrange, &head);
	return vringh_getdesc_kern(&vrh, &riov, &wiov, &head, GFP_KERNEL);
}

static ssize_t push(const char *src, size_t len)
{
	if (in_user)
		return vringh_iov_push_user((struct vringh_iov *)&wiov, src,
					    len);
	return vringh_iov_push_kern(&wiov, src, len);
}

static void reset(void)
{
	if (in_user)
		vringh_iov_reset((struct vringh_iov *)&wiov);
	else
		vringh_kiov_reset(&wiov);
}

#define EXPECT(got, want) expect(__LINE__, #got, (long)(got), (long)(want))
static void expect(int line, const char *what, long got, long want)
{
	if (got == want)
		return;
	printf("# line %d: %s is %ld, not %ld\n", line, what, got, want);
	failed = true;
}

/* The chain at @i is refused, and nothing but that chain. */
static void refused(u16 i, int want)
{
	post(i);
	EXPECT(get(), want);
	EXPECT(head, i);
	fill(&desc[NUM - 1], data, 1, 0, 0);
	post(NUM - 1);
	EXPECT(get(), 1);
	EXPECT(head, NUM - 1);
	EXPECT(riov.used, 1);
	EXPECT(get(), 0);
}

static void ring_full(void)
{
	chain(desc, NUM);
	post(0);
	EXPECT(get(), 1);
	EXPECT(head, 0);
	EXPECT(riov.used, NUM);
	EXPECT(wiov.used, 0);
	EXPECT(get(), 0);
}

static void table_full(void)
{
	fill(&desc[0], table, NUM * sizeof(*table), INDIRECT, 0);
	chain(table, NUM);
	post(0);
	EXPECT(get(), 1);
	EXPECT(riov.used, NUM);
}

static void index_ahead(void)
{
	chain(desc, 1);
	vrh.vring.avail->idx = NUM + 1;
	EXPECT(get(), -EINVAL);
	EXPECT(head, NUM);
}

/* Nothing is wrong here: the indices are free to wrap around. */
static void index_wraps(void)
{
	vrh.last_avail_idx = 65530;
	vrh.vring.avail->idx = (u16)(65530 + NUM);
	chain(desc, 1);
	EXPECT(get(), 1);
	vrh.vring.avail->idx++;
	EXPECT(get(), 1);
}

static void head_beyond(void)
{
	post(3);
	chain(desc + 3, 1);
	EXPECT(get(), 1);
	EXPECT(head, 3);
	post(NUM);
	EXPECT(get(), -EINVAL);
	EXPECT(head, NUM);
}

static void next_beyond(void)
{
	fill(&desc[1], data, 1, NEXT, NUM);
	refused(1, -EINVAL);
}

static void loop(void)
{
	fill(&desc[1], data, 1, NEXT, 2);
	fill(&desc[2], data, 1, NEXT, 1);
	refused(1, -ELOOP);
}

static void loop_in_table(void)
{
	fill(&desc[1], table, 2 * sizeof(*table), INDIRECT, 0);
	fill(&table[0], data, 1, NEXT, 1);
	fill(&table[1], data, 1, NEXT, 0);
	refused(1, -ELOOP);
}

static void table_names_itself(void)
{
	fill(&desc[1], table, sizeof(*table), INDIRECT | NEXT, 1);
	chain(table, 1);
	refused(1, -ELOOP);
}

/* One buffer, to be followed four million times. */
static void table_huge(void)
{
	fill(&desc[1], table, 1 << 26, INDIRECT, 0);
	fill(&table[0], data, 1, NEXT, 0);
	refused(1, -ELOOP);
}

static void table_too_long(void)
{
	fill(&desc[1], table, (NUM + 1) * sizeof(*table), INDIRECT, 0);
	chain(table, NUM + 1);
	refused(1, -ELOOP);
}

static void table_in_table(void)
{
	fill(&desc[1], table, sizeof(*table), INDIRECT, 0);
	fill(&table[0], table + 1, sizeof(*table), INDIRECT, 0);
	chain(table + 1, 1);
	refused(1, -EINVAL);
}

/* Reading an entry would take more memory than there is. */
static void table_empty(void)
{
	fill(&desc[1], end - 8, 0, INDIRECT, 0);
	refused(1, -EINVAL);
}

static void table_odd(void)
{
	fill(&desc[1], table, sizeof(*table) + 8, INDIRECT, 0);
	chain(table, 1);
	refused(1, -EINVAL);
}

static void table_not_negotiated(void)
{
	start(0);
	fill(&desc[1], table, sizeof(*table), INDIRECT, 0);
	chain(table, 1);
	refused(1, -EINVAL);
}

static void table_then_first(void)
{
	fill(&desc[1], table, sizeof(*table), INDIRECT | NEXT, 0);
	chain(table, 1);
	fill(&desc[0], data + 1, 2, 0, 0);
	post(1);
	EXPECT(get(), 1);
	EXPECT(riov.used, 2);
	EXPECT(riov.iov[1].iov_base, data + 1);
	EXPECT(riov.iov[1].iov_len, 2);
}

static void buffer_wraps(void)
{
	fill(&desc[1], (void *)-4UL, 8, 0, 0);
	refused(1, -EINVAL);
}

static void table_wraps(void)
{
	fill(&desc[1], (void *)-16UL, 2 * sizeof(*table), INDIRECT, 0);
	refused(1, -EINVAL);
}

/* If it isn't refused, it has to be what the driver named. */
static void buffer_high(void)
{
	chain(&desc[1], 1);
	desc[1].addr += 1ULL << 32;
	post(1);
	if (get() == 1)
		EXPECT((unsigned long)riov.iov[0].iov_base == desc[1].addr, 1);
}

static void write_then_read(void)
{
	fill(&desc[1], data, 1, WRITE_ONLY | NEXT, 2);
	fill(&desc[2], data, 1, 0, 0);
	refused(1, -EINVAL);
}

/* What was left of a buffer is no part of the next one. */
static void half_consumed(void)
{
	fill(&desc[0], data, 8, WRITE_ONLY, 0);
	fill(&desc[1], data + 8, 8, WRITE_ONLY, 0);
	post(0);
	post(1);
	EXPECT(get(), 1);
	EXPECT(push("1234", 4), 4);
	EXPECT(get(), 1);
	EXPECT(push("abcdefgh", 8), 8);
	reset();
	EXPECT(wiov.iov[0].iov_base, data + 8);
	EXPECT(wiov.iov[0].iov_len, 8);
	EXPECT(strcmp(data, "1234"), 0);
	EXPECT(strcmp(data + 8, "abcdefgh"), 0);
}

/* The array of buffers ends where memory does, and is used up. */
static void reset_at_end(void)
{
	vringh_kiov_init(&wiov, (struct kvec *)end - 1, 1);
	fill(&desc[0], data, 8, WRITE_ONLY, 0);
	post(0);
	EXPECT(get(), 1);
	EXPECT(push("abcdefgh", 8), 8);
	EXPECT(wiov.i, 1);
	reset();
	EXPECT(wiov.i, 0);
	EXPECT(wiov.iov[0].iov_base, data);
	EXPECT(wiov.iov[0].iov_len, 8);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "a chain as long as the ring", ring_full },
	{ "a table as long as the ring", table_full },
	{ "an available index too far ahead", index_ahead },
	{ "an available index that wraps around", index_wraps },
	{ "a head beyond the ring", head_beyond },
	{ "a next descriptor beyond the ring", next_beyond },
	{ "a loop in the ring", loop },
	{ "a loop in a table", loop_in_table },
	{ "a table that goes on at itself", table_names_itself },
	{ "a table of 64 MiB", table_huge },
	{ "a table longer than the ring", table_too_long },
	{ "a table in a table", table_in_table },
	{ "a table without an entry", table_empty },
	{ "a table with half an entry", table_odd },
	{ "a table that isn't negotiated", table_not_negotiated },
	{ "a table that goes on at the first descriptor", table_then_first },
	{ "a table at the end of the address space", table_wraps },
	{ "a buffer at the end of the address space", buffer_wraps },
	{ "an address of more than 32 bits", buffer_high },
	{ "a buffer to read after one to write", write_then_read },
	{ "a buffer after one that isn't used up", half_consumed },
	{ "a buffer that is used up, given back", reset_at_end },
};

/* The case in a process of its own: true if all was as it should be. */
static bool run(void (*test)(void))
{
	struct rlimit memory = { MEMORY, MEMORY }, core = { 0, 0 };
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		if (setrlimit(RLIMIT_AS, &memory) ||
		    setrlimit(RLIMIT_CORE, &core))
			err(1, "setrlimit");
		alarm(SECONDS);
		setup();
		test();
		exit(failed);
	}

	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	if (WIFSIGNALED(status))
		printf("# %s\n", strsignal(WTERMSIG(status)));
	return !status;
}

int main(void)
{
	static const char * const memory[] = { "kernel", "user" };
	unsigned int i, bad = 0;

	printf("1..%zu\n", 2 * ARRAY_SIZE(cases));
	for (i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const char *ok = "ok";

		in_user = i % 2;
		if (!run(cases[i / 2].run)) {
			ok = "not ok";
			bad++;
		}
		printf("%s %u - %s, %s memory\n", ok, i + 1, cases[i / 2].name,
		       memory[in_user]);
	}

	return bad > 0;
}
