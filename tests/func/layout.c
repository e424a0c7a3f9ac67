/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READ and WRITE in every descriptor layout: the bytes are right, and each costs exactly one
 * data system call on guest memory (rows 6, 7, 8). The calls are counted with strace.
 */
#include <fcntl.h>

#include "func.h"

#define SIZE ((1u << 20) - 4096)

static char data[FUNC_DATA_MAX], back[FUNC_DATA_MAX];

static uint64_t new_file(const char *name, uint64_t *ret_fh)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	ok(guest_create(&fx.g, FUSE_ROOT_ID, name, O_RDWR, 0644, 0, &e, &o));
	*ret_fh = o.fh;
	return e.nodeid;
}

static void start_with_two_regions(const struct daemon_opts *o)
{
	const struct mem_spec spec[] = { { .gpa = 0, .size = 64 << 20 },
					 { .gpa = 1ull << 32, .size = 64 << 20 } };

	ok(daemon_start(&fx.d, o));
	/* a chain may have as many descriptors as its ring, also in an indirect table */
	func_connect(&(struct vmm_opts){ .regions = spec, .nregions = 2, .queue_size = 4096 });
	func_init_session();
}

START_TEST(every_layout_carries_every_size)
{
	static const uint32_t sizes[] = { 0, 1, 2, 4095, 4096, 4097, 70000, SIZE };
	uint64_t n, fh;

	start_with_two_regions(NULL);
	n = new_file("f", &fh);
	for (unsigned int l = 0; l < nlayouts; l++) {
		fx.g.layout = &layouts[l];
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint32_t size = sizes[i];
			ssize_t r;

			func_pattern(data, size, i + l * 10);
			r = guest_write(&fx.g, n, fh, data, size, 5);
			ck_assert_msg(r == size, "%s: write of %u: %zd", layouts[l].name, size, r);

			char *now = host_read("f", NULL);

			ck_assert_msg(!size || !memcmp(now + 5, data, size),
				      "%s: write of %u: other bytes", layouts[l].name, size);
			free(now);
			memset(back, 0xee, sizeof(back));
			r = guest_read(&fx.g, n, fh, back, size, 5);
			ck_assert_msg(r == size, "%s: read of %u: %zd", layouts[l].name, size, r);
			ck_assert_msg(!memcmp(back, data, size), "%s: read of %u: other bytes",
				      layouts[l].name, size);
		}
		ok(guest_truncate(&fx.g, n, 0));
	}
	func_end();
}
END_TEST

START_TEST(every_layout_carries_short_reads)
{
	uint64_t n, fh;

	start_with_two_regions(NULL);
	n = new_file("f", &fh);
	func_pattern(data, 10000, 1);
	host_write("f", data, 10000);
	for (unsigned int l = 0; l < nlayouts; l++) {
		fx.g.layout = &layouts[l];
		ck_assert_int_eq(guest_read(&fx.g, n, fh, back, 65536, 0), 10000);
		ck_assert_mem_eq(back, data, 10000);
		ck_assert_int_eq(guest_read(&fx.g, n, fh, back, 65536, 9999), 1);
		ck_assert_int_eq(guest_read(&fx.g, n, fh, back, 65536, 10000), 0);
	}
	func_end();
}
END_TEST

START_TEST(every_layout_carries_names_and_entries)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	start_with_two_regions(NULL);
	host_text("a-name-of-some-length", "x");
	for (unsigned int l = 0; l < nlayouts; l++) {
		fx.g.layout = &layouts[l];
		ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "a-name-of-some-length", &e));
		ck_assert_uint_eq(e.attr.ino, host_stat("a-name-of-some-length").st_ino);
		ok(guest_rename(&fx.g, FUSE_ROOT_ID, "a-name-of-some-length", FUSE_ROOT_ID, "b"));
		ok(guest_rename2(&fx.g, FUSE_ROOT_ID, "b", FUSE_ROOT_ID, "a-name-of-some-length",
				 0));
		ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
		ck_assert_int_gt(ok(guest_readdir(&fx.g, FUSE_ROOT_ID, o.fh, 0, back, 4096)), 60);
		ok(guest_releasedir(&fx.g, FUSE_ROOT_ID, o.fh));
	}
	func_end();
}
END_TEST

/* --- counting --- */

static char trace[128];

static const char *const strace_cmd[] = {
	"strace", "-D", "-f", "-A", "-qq", "-o", "{dir}/trace", "-e",
	"trace=read,write,pread64,pwrite64,readv,writev,preadv,pwritev,preadv2,pwritev2,"
	"copy_file_range,splice,process_vm_readv,process_vm_writev",
	NULL
};

static void start_traced(void)
{
	struct daemon_opts o = { .wrap = strace_cmd };

	if (func_sanitized())
		func_skip("not under a sanitizer");
	if (system("strace -qq -o /dev/null true 2>/dev/null") != 0)
		func_skip("strace is missing or may not trace");
	start_with_two_regions(&o);
	snprintf(trace, sizeof(trace), "%s/trace", fx.d.dir);
}

/*
 * The calls in the trace that moved file data: all but the eight-byte ones of eventfds and those
 * that only found out that nothing can be had without waiting. *ret_names: what they were.
 */
static int data_calls(char *ret_names, size_t size)
{
	FILE *f = fopen(trace, "re");
	char *line = NULL;
	size_t room = 0;
	int n = 0;

	ck_assert_ptr_nonnull(f);
	ret_names[0] = '\0';
	while (getline(&line, &room, f) > 0) {
		/* a call that another thread's line came between ends as "<... NAME resumed>" */
		char *result = strrchr(line, '=');

		if (!result || strstr(line, "<unfinished"))
			continue;

		long got = atol(result + 1);

		if (got == 8 || strstr(result, "EAGAIN") || strstr(result, "EOPNOTSUPP"))
			continue;
		if (got < 4096 && !strstr(line, "pread") && !strstr(line, "pwrite"))
			continue;	/* log lines and the like */
		n++;

		size_t len = strlen(ret_names);

		snprintf(ret_names + len, size - len, "%.*s = %ld; ", 24, line, got);
	}
	free(line);
	fclose(f);
	return n;
}

/* strace writes what happened a little later than it happened. */
static int settled_data_calls(int at_least, char *names, size_t size)
{
	int64_t deadline = wait_now_ms() + 3000;
	int n;

	while ((n = data_calls(names, size)) < at_least && wait_now_ms() < deadline)
		wait_sleep_ms(5);
	wait_sleep_ms(20);
	return data_calls(names, size);
}

static void expect_calls(const char *what, const char *layout, int want)
{
	char names[1000];
	int n = settled_data_calls(want, names, sizeof(names));

	ck_assert_msg(n == want, "%s, %s: %d data calls instead of %d: %s", what, layout, n, want,
		      names);
	host(truncate(trace, 0));
}

START_TEST(each_read_and_write_is_one_data_call)
{
	uint64_t n, fh;

	start_traced();
	n = new_file("f", &fh);
	func_pattern(data, SIZE, 1);
	ok(guest_write(&fx.g, n, fh, data, SIZE, 0));
	wait_sleep_ms(100);
	host(truncate(trace, 0));
	for (unsigned int l = 0; l < nlayouts; l++) {
		fx.g.layout = &layouts[l];
		func_pattern(data, SIZE, l + 2);
		ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, data, SIZE, 0)), SIZE);
		expect_calls("write", layouts[l].name, 1);
		memset(back, 0, SIZE);
		ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, SIZE, 0)), SIZE);
		ck_assert_mem_eq(back, data, SIZE);
		expect_calls("read", layouts[l].name, 1);
	}
	func_end();
}
END_TEST

START_TEST(more_than_1024_pieces_take_one_call_for_each_1024)
{
	static const struct layout tiny = { .name = "3000 pieces", .gap = 16, .data_cut = 128 };
	static const struct layout exact = { .name = "1024 pieces", .gap = 16, .data_cut = 256 };
	uint64_t n, fh;

	start_traced();
	n = new_file("f", &fh);
	func_pattern(data, SIZE, 1);
	ok(guest_write(&fx.g, n, fh, data, SIZE, 0));
	wait_sleep_ms(100);
	host(truncate(trace, 0));
	for (int i = 0; i < 2; i++) {
		const struct layout *l = i ? &exact : &tiny;
		uint32_t size = i ? 1024 * 256 : 3000 * 128;

		fx.g.layout = l;
		func_pattern(data, size, i + 2);
		ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, data, size, 0)), size);
		expect_calls("write", l->name, i ? 1 : 3);
		ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, size, 0)), size);
		ck_assert_mem_eq(back, data, size);
		expect_calls("read", l->name, i ? 1 : 3);
	}
	func_end();
}
END_TEST

START_TEST(adjacent_pieces_are_merged)
{
	static const struct layout bytes = { .name = "3000 adjacent pieces", .data_cut = 128 };
	uint64_t n, fh;

	start_traced();
	n = new_file("f", &fh);
	wait_sleep_ms(100);
	host(truncate(trace, 0));
	fx.g.layout = &bytes;
	func_pattern(data, 3000 * 128, 1);
	ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, data, 3000 * 128, 0)), 3000 * 128);
	expect_calls("write", bytes.name, 1);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, 3000 * 128, 0)), 3000 * 128);
	expect_calls("read", bytes.name, 1);
	ck_assert_mem_eq(back, data, 3000 * 128);
	func_end();
}
END_TEST

START_TEST(append_of_more_than_1024_pieces_is_one_piece_in_the_file)
{
	static const struct layout tiny = { .name = "2000 pieces", .gap = 16, .data_cut = 16 };
	uint64_t n, fh;

	start_with_two_regions(NULL);
	n = new_file("f", &fh);

	uint64_t a = func_open(n, O_WRONLY | O_APPEND);

	fx.g.file_flags = O_WRONLY | O_APPEND;
	fx.g.layout = &tiny;
	for (int i = 0; i < 10; i++) {
		func_pattern(data + i * 32000, 32000, i);
		ck_assert_int_eq(ok(guest_write(&fx.g, n, a, data + i * 32000, 32000, 0)), 32000);
	}

	size_t len;
	char *now = host_read("f", &len);

	ck_assert_uint_eq(len, 320000);
	ck_assert_mem_eq(now, data, 320000);
	free(now);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("layout", argc, argv);
	func_test(every_layout_carries_every_size);
	func_test(every_layout_carries_short_reads);
	func_test(every_layout_carries_names_and_entries);
	func_test(each_read_and_write_is_one_data_call);
	func_test(more_than_1024_pieces_take_one_call_for_each_1024);
	func_test(adjacent_pieces_are_merged);
	func_test(append_of_more_than_1024_pieces_is_one_piece_in_the_file);
	return func_done();
}
