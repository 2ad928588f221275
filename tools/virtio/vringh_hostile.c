// SPDX-License-Identifier: GPL-2.0
/*
 * Tests the host's side of a ring with a hostile driver's side: in kernel
 * memory, in user memory, and behind an IOTLB.  Prints TAP.
 *
 * Each case runs in a process of its own with little time and memory, and with
 * nothing mapped behind the driver's memory.  So a case fails if it loops
 * without end or accesses memory out of bounds.
 */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <linux/kernel.h>
#include <linux/virtio.h>
#include <linux/vringh.h>
#include <linux/virtio_ring.h>
#include <linux/uaccess.h>
#include <linux/vhost_iotlb.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

void *__user_addr_min, *__user_addr_max;
void *__kmalloc_fake, *__kfree_ignore_start, *__kfree_ignore_end;

#define NUM	8
#define ALIGN	64
#define SECONDS	10
#define MEMORY	(32UL << 20)

/* Tables are as long as VRINGH_TABLE_MAX, and one more. */
#define TABLES	(8 * PAGE_SIZE)

#define NEXT		VRING_DESC_F_NEXT
#define WRITE_ONLY	VRING_DESC_F_WRITE
#define INDIRECT	VRING_DESC_F_INDIRECT

static enum { KERNEL, USER, IOTLB, KINDS } kind;
static bool failed;

/* The driver's memory: a page of rings, TABLES of tables, a page of buffers. */
static struct vring ring;
static struct vring_desc *desc, *table;
static char *mem, *data, *end;

/* The address of the driver's memory in the IOTLB. */
#define IOVA	0x123456780000UL
static struct vhost_iotlb *iotlb;
static unsigned long mapped;

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

/* The address by which the host knows the driver's memory at @addr. */
static void *host(void *addr)
{
	if (kind != IOTLB || (char *)addr < mem || (char *)addr >= end)
		return addr;
	return (void *)(IOVA + ((char *)addr - mem));
}

static void start(u64 features)
{
	if (kind == USER)
		vringh_init_user(&vrh, features, NUM, true, ring.desc,
				 ring.avail, ring.used);
	else if (kind == KERNEL)
		vringh_init_kern(&vrh, features, NUM, true, ring.desc,
				 ring.avail, ring.used);
	else
		vringh_init_iotlb(&vrh, features, NUM, true, host(ring.desc),
				  host(ring.avail), host(ring.used));
	vringh_kiov_init(&riov, rvec, ARRAY_SIZE(rvec));
	vringh_kiov_init(&wiov, wvec, ARRAY_SIZE(wvec));
}

/* Maps the driver's memory from the end of the last map up to @to. */
static void map(void *to, u32 perm)
{
	unsigned long len = (char *)to - mem;

	if (vhost_iotlb_add_range(iotlb, IOVA + mapped, IOVA + len - 1,
				  (unsigned long)mem + mapped, perm))
		errx(1, "vhost_iotlb_add_range");
	mapped = len;
}

static void unmap_all(void)
{
	vhost_iotlb_reset(iotlb);
	mapped = 0;
}

static void setup(void)
{
	size_t size = 2 * PAGE_SIZE + TABLES;

	mem = mmap(NULL, size + PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		err(1, "mmap");
	__user_addr_min = mem;
	__user_addr_max = mem + size;
	end = mem + size;
	if (mprotect(end, PAGE_SIZE, PROT_NONE))
		err(1, "mprotect");

	vring_init(&ring, NUM, mem, ALIGN);
	desc = ring.desc;
	table = (void *)(mem + PAGE_SIZE);
	data = mem + PAGE_SIZE + TABLES;
	iotlb = vhost_iotlb_alloc(0, 0);
	if (!iotlb)
		err(1, "vhost_iotlb_alloc");
	map(end, VHOST_MAP_RW);
	vringh_set_iotlb(&vrh, iotlb);
	start(1 << VIRTIO_RING_F_INDIRECT_DESC);
}

static void fill(struct vring_desc *d, void *addr, u32 len, u16 flags, u16 next)
{
	d->addr = (unsigned long)host(addr);
	d->len = len;
	d->flags = flags;
	d->next = next;
}

/* @num descriptors in a row from @d on, each of one byte to be read. */
static void chain(struct vring_desc *d, int num)
{
	int i;

	for (i = 0; i < num; i++)
		fill(&d[i], data + i % PAGE_SIZE, 1, i < num - 1 ? NEXT : 0,
		     i + 1);
}

static void post(u16 i)
{
	struct vring_avail *avail = ring.avail;

	avail->ring[avail->idx++ % NUM] = i;
}

static int get(void)
{
	if (kind == USER)
		return vringh_getdesc_user(&vrh, (struct vringh_iov *)&riov,
					   (struct vringh_iov *)&wiov,
					   getrange, &head);
	if (kind == IOTLB)
		return vringh_getdesc_iotlb(&vrh, &riov, &wiov, &head,
					    GFP_KERNEL);
	return vringh_getdesc_kern(&vrh, &riov, &wiov, &head, GFP_KERNEL);
}

static ssize_t push(const char *src, size_t len)
{
	if (kind == USER)
		return vringh_iov_push_user((struct vringh_iov *)&wiov, src,
					    len);
	if (kind == IOTLB)
		return vringh_iov_push_iotlb(&vrh, &wiov, src, len);
	return vringh_iov_push_kern(&wiov, src, len);
}

static void reset(void)
{
	if (kind == USER)
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
	ring.avail->idx = NUM + 1;
	EXPECT(get(), -EINVAL);
	EXPECT(head, NUM);
}

/* Nothing is wrong here: the indices are free to wrap around. */
static void index_wraps(void)
{
	vringh_set_avail(&vrh, 65530);
	ring.avail->idx = (u16)(65530 + NUM);
	chain(desc, 1);
	EXPECT(get(), 1);
	ring.avail->idx++;
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

/* Drivers make them: the ring's size says nothing about the length of tables. */
static void table_longer_than_ring(void)
{
	static const int lens[] = { NUM + 1, 256, VRINGH_TABLE_MAX };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		fill(&desc[1], table, lens[i] * sizeof(*table), INDIRECT, 0);
		chain(table, lens[i]);
		post(1);
		EXPECT(get(), 1);
		EXPECT(head, 1);
		EXPECT(riov.used, lens[i]);
	}
	EXPECT(get(), 0);
}

static void table_too_long(void)
{
	fill(&desc[1], table, (VRINGH_TABLE_MAX + 1) * sizeof(*table), INDIRECT,
	     0);
	chain(table, VRINGH_TABLE_MAX + 1);
	refused(1, -ELOOP);
}

/* The bound is one for all tables of a chain. */
static void tables_too_long(void)
{
	int half = VRINGH_TABLE_MAX / 2 + 1;

	fill(&desc[1], table, half * sizeof(*table), INDIRECT | NEXT, 2);
	fill(&desc[2], table, half * sizeof(*table), INDIRECT, 0);
	chain(table, half);
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
	EXPECT(riov.iov[1].iov_base, host(data + 1));
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

/* If it isn't refused, the host uses the address that the driver wrote. */
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
	EXPECT(wiov.iov[0].iov_base, host(data + 8));
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
	EXPECT(wiov.iov[0].iov_base, host(data));
	EXPECT(wiov.iov[0].iov_len, 8);
}

/*
 * The used ring is mapped in three parts: flags and index, entries, and the
 * available event.  One of them is read-only, or all are.
 */
static void used_read_only(u64 features, u32 header, u32 entries, u32 event)
{
	size_t size = sizeof(ring.used->flags) * 3 +
		      NUM * sizeof(*ring.used->ring);
	char before[size], *used = (char *)ring.used;
	bool fine = header & entries & VHOST_MAP_WO;
	size_t i;

	unmap_all();
	map(ring.used, VHOST_MAP_RW);
	map(ring.used->ring, header);
	map(ring.used->ring + NUM, entries);
	map(used + size, event);
	map(end, VHOST_MAP_RW);

	start(features);
	memset(used, 0x5a, size);
	memcpy(before, used, size);
	chain(desc, 1);
	post(0);
	EXPECT(get(), 1);
	EXPECT(vringh_complete_iotlb(&vrh, head, 1), fine ? 0 : -EPERM);
	vringh_notify_disable_iotlb(&vrh);
	vringh_notify_enable_iotlb(&vrh);

	for (i = 0; i < size; i++) {
		u32 perm = i < 4 ? header : i < size - 2 ? entries : event;

		if (!(perm & VHOST_MAP_WO))
			EXPECT(used[i], before[i]);
	}
	EXPECT(!fine || !memcmp(&ring.used->idx, before + 2, 2), !fine);
}

enum { EVENT = 1 << VIRTIO_RING_F_EVENT_IDX };

static void used_ring_read_only(void)
{
	used_read_only(0, VHOST_MAP_RO, VHOST_MAP_RO, VHOST_MAP_RO);
	used_read_only(EVENT, VHOST_MAP_RO, VHOST_MAP_RO, VHOST_MAP_RO);
}

static void used_index_read_only(void)
{
	used_read_only(0, VHOST_MAP_RO, VHOST_MAP_RW, VHOST_MAP_RW);
}

static void used_entries_read_only(void)
{
	used_read_only(0, VHOST_MAP_RW, VHOST_MAP_RO, VHOST_MAP_RW);
}

static void avail_event_read_only(void)
{
	used_read_only(EVENT, VHOST_MAP_RW, VHOST_MAP_RW, VHOST_MAP_RO);
}

/* The same with everything writable: shows that the other cases test mappings. */
static void used_ring_writable(void)
{
	used_read_only(0, VHOST_MAP_RW, VHOST_MAP_RW, VHOST_MAP_RW);
	used_read_only(EVENT, VHOST_MAP_RW, VHOST_MAP_RW, VHOST_MAP_RW);
}

static void buffer_read_only(void)
{
	unmap_all();
	map(data, VHOST_MAP_RW);
	map(end, VHOST_MAP_RO);
	fill(&desc[0], data, 8, WRITE_ONLY, 0);
	post(0);
	EXPECT(get(), 1);
	EXPECT(push("abcdefgh", 8), -EPERM);
	EXPECT(data[0], 0);
}

/* The descriptors and the available ring are read. */
static void ring_write_only(void)
{
	unmap_all();
	map(ring.avail, VHOST_MAP_WO);
	map(end, VHOST_MAP_RW);
	chain(desc, 1);
	post(0);
	EXPECT(get(), -EPERM);
	EXPECT(head, 0);

	unmap_all();
	map(ring.avail, VHOST_MAP_RW);
	map(ring.used, VHOST_MAP_WO);
	map(end, VHOST_MAP_RW);
	EXPECT(get(), -EPERM);
	EXPECT(head, NUM);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool iotlb_only;
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
	{ "tables longer than the ring", table_longer_than_ring },
	{ "a table longer than the bound", table_too_long },
	{ "two tables longer than the bound together", tables_too_long },
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
	{ "a used ring that is writable", used_ring_writable, true },
	{ "a used ring that is read-only", used_ring_read_only, true },
	{ "a used ring's header that is read-only", used_index_read_only, true },
	{ "used entries that are read-only", used_entries_read_only, true },
	{ "an available event that is read-only", avail_event_read_only, true },
	{ "a buffer that is read-only", buffer_read_only, true },
	{ "a ring that is write-only", ring_write_only, true },
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
	static const char * const memory[KINDS] = { "kernel", "user", "IOTLB" };
	unsigned int i, n = 0, bad = 0;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (kind = KERNEL; kind < KINDS; kind++) {
			const char *ok = "ok";

			if (cases[i].iotlb_only && kind != IOTLB)
				continue;
			if (!run(cases[i].run)) {
				ok = "not ok";
				bad++;
			}
			printf("%s %u - %s, %s memory\n", ok, ++n,
			       cases[i].name, memory[kind]);
		}
	}
	printf("1..%u\n", n);

	return bad > 0;
}
