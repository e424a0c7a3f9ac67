/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost/msgtable: each row against the specification, spelled out again. */
#include "vhost/msgtable.h"

#include <stddef.h>
#include <string.h>

#include "base/scope.h"
#include "unit.h"

#define PF(name) VHOST_USER_PROTOCOL_F_##name
#define NONE MSG_NO_FEATURE
#define NAME(name) VHOST_USER_##name, #name

/* Payloads as the specification has them, in bytes. */
static const struct {
	uint32_t request;
	const char *name;
	uint32_t size; /* that is right */
	unsigned int fds; /* without which it makes no sense */
	uint8_t protocol;
} spec[] = {
	{ NAME(GET_FEATURES), 0, 0, NONE },
	{ NAME(SET_FEATURES), 8, 0, NONE },
	{ NAME(SET_OWNER), 0, 0, NONE },
	{ NAME(RESET_OWNER), 0, 0, NONE },
	{ NAME(SET_MEM_TABLE), 8 + 8 * 32, 0, NONE },
	{ NAME(SET_LOG_BASE), 16, 1, PF(LOG_SHMFD) },
	{ NAME(SET_LOG_FD), 0, 1, NONE },
	{ NAME(SET_VRING_NUM), 8, 0, NONE },
	{ NAME(SET_VRING_ADDR), 40, 0, NONE },
	{ NAME(SET_VRING_BASE), 8, 0, NONE },
	{ NAME(GET_VRING_BASE), 8, 0, NONE },
	{ NAME(SET_VRING_KICK), 8, 0, NONE },
	{ NAME(SET_VRING_CALL), 8, 0, NONE },
	{ NAME(SET_VRING_ERR), 8, 0, NONE },
	{ NAME(GET_PROTOCOL_FEATURES), 0, 0, NONE },
	{ NAME(SET_PROTOCOL_FEATURES), 8, 0, NONE },
	{ NAME(GET_QUEUE_NUM), 0, 0, PF(MQ) },
	{ NAME(SET_VRING_ENABLE), 8, 0, NONE },
	{ NAME(SET_BACKEND_REQ_FD), 0, 1, PF(BACKEND_REQ) },
	{ NAME(GET_CONFIG), 12 + 256, 0, PF(CONFIG) },
	{ NAME(SET_CONFIG), 12 + 256, 0, PF(CONFIG) },
	{ NAME(RESET_DEVICE), 0, 0, PF(RESET_DEVICE) },
	{ NAME(GET_MAX_MEM_SLOTS), 0, 0, PF(CONFIGURE_MEM_SLOTS) },
	{ NAME(ADD_MEM_REG), 40, 0, PF(CONFIGURE_MEM_SLOTS) },
	{ NAME(REM_MEM_REG), 40, 0, PF(CONFIGURE_MEM_SLOTS) },
};

START_TEST(rows_are_the_specification)
{
	const struct msg_row *row = msg_row(spec[_i].request);

	ck_assert_ptr_nonnull(row);
	ck_assert_ptr_nonnull(row->fn);
	ck_assert_str_eq(row->name, spec[_i].name);
	ck_assert_uint_le(row->size_min, spec[_i].size);
	ck_assert_uint_ge(row->size_max, spec[_i].size);
	ck_assert_uint_eq(row->fds_min, spec[_i].fds);
	ck_assert_uint_eq(row->protocol, spec[_i].protocol);
}
END_TEST

START_TEST(no_row_is_larger_than_a_message)
{
	for (uint32_t i = 0; i < 1000; i++) {
		const struct msg_row *row = msg_row(i);

		if (!row)
			continue;
		ck_assert_uint_le(row->size_max, SOCK_PAYLOAD_MAX);
		ck_assert_uint_le(row->size_min, row->size_max);
		ck_assert_uint_le(row->fds_min, SOCK_FDS_MAX);
	}
}
END_TEST

START_TEST(no_row_is_missing_here)
{
	unsigned int rows = 0;

	for (uint32_t i = 0; i < 1000; i++)
		rows += msg_row(i) != NULL;
	ck_assert_uint_eq(rows, ARRAY_SIZE(spec));
	ck_assert_ptr_null(msg_row(0));
	ck_assert_ptr_null(msg_row(VHOST_USER_REQUEST_MAX));
	ck_assert_ptr_null(msg_row(UINT32_MAX));
}
END_TEST

/* What describes a ring may not change while it runs, nor before the front-end
 * has taken the device. */
START_TEST(states)
{
	static const uint32_t stopped[] = { VHOST_USER_SET_VRING_NUM,
					    VHOST_USER_SET_VRING_BASE };
	static const uint32_t before_owner[] = {
		VHOST_USER_GET_FEATURES, VHOST_USER_SET_FEATURES,
		VHOST_USER_SET_OWNER, VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_GET_QUEUE_NUM,
		VHOST_USER_GET_MAX_MEM_SLOTS,
	};

	for (size_t i = 0; i < ARRAY_SIZE(stopped); i++)
		ck_assert(msg_row(stopped[i])->state & ST_STOPPED);
	/* QEMU asks these before SET_OWNER. */
	for (size_t i = 0; i < ARRAY_SIZE(before_owner); i++)
		ck_assert(!(msg_row(before_owner[i])->state & ST_OWNED));
	for (uint32_t i = VHOST_USER_SET_VRING_NUM;
	     i <= VHOST_USER_SET_VRING_ERR; i++)
		ck_assert(msg_row(i)->state & ST_OWNED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("msgtable");
	TCase *tc = unit_tcase(s, "rows", 10);

	tcase_add_loop_test(tc, rows_are_the_specification, 0, ARRAY_SIZE(spec));
	tcase_add_test(tc, no_row_is_larger_than_a_message);
	tcase_add_test(tc, no_row_is_missing_here);
	tcase_add_test(tc, states);
	return unit_run(s);
}
