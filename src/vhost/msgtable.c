/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/msgtable.h"

#include "base/scope.h"

#define SIZE(min, max) (min), (max)
#define EXACT(type) SIZE(sizeof(type), sizeof(type))
#define PF(name) VHOST_USER_PROTOCOL_F_##name
#define NO_PF MSG_NO_FEATURE

#define CONFIG_HEAD offsetof(struct vhost_user_config, data)

static const struct msg_row rows[] = {
	[VHOST_USER_GET_FEATURES] = { "GET_FEATURES", on_get_features,
				      SIZE(0, 0), 0, NO_PF, ST_ANY },
	[VHOST_USER_SET_FEATURES] = { "SET_FEATURES", on_set_features,
				      EXACT(uint64_t), 0, NO_PF, ST_ANY },
	[VHOST_USER_SET_OWNER] = { "SET_OWNER", on_set_owner, SIZE(0, 0), 0,
				   NO_PF, ST_ANY },
	[VHOST_USER_RESET_OWNER] = { "RESET_OWNER", on_reset, SIZE(0, 0), 0,
				     NO_PF, ST_ANY },
	[VHOST_USER_SET_MEM_TABLE] = { "SET_MEM_TABLE", on_set_mem_table,
				       SIZE(8, sizeof(struct vhost_user_mem_table)),
				       0, NO_PF, ST_OWNED },
	[VHOST_USER_SET_LOG_BASE] = { "SET_LOG_BASE", on_set_log_base,
				      EXACT(struct vhost_user_log), 1,
				      PF(LOG_SHMFD), ST_OWNED },
	[VHOST_USER_SET_LOG_FD] = { "SET_LOG_FD", on_set_log_fd,
				    SIZE(0, sizeof(uint64_t)), 1, NO_PF,
				    ST_OWNED },
	[VHOST_USER_SET_VRING_NUM] = { "SET_VRING_NUM", on_set_vring_num,
				       EXACT(struct vhost_user_vring_state), 0,
				       NO_PF, ST_OWNED | ST_STOPPED },
	[VHOST_USER_SET_VRING_ADDR] = { "SET_VRING_ADDR", on_set_vring_addr,
					EXACT(struct vhost_user_vring_addr), 0,
					NO_PF, ST_OWNED },
	[VHOST_USER_SET_VRING_BASE] = { "SET_VRING_BASE", on_set_vring_base,
					EXACT(struct vhost_user_vring_state), 0,
					NO_PF, ST_OWNED | ST_STOPPED },
	[VHOST_USER_GET_VRING_BASE] = { "GET_VRING_BASE", on_get_vring_base,
					EXACT(struct vhost_user_vring_state), 0,
					NO_PF, ST_OWNED },
	[VHOST_USER_SET_VRING_KICK] = { "SET_VRING_KICK", on_set_vring_kick,
					EXACT(uint64_t), 0, NO_PF, ST_OWNED },
	[VHOST_USER_SET_VRING_CALL] = { "SET_VRING_CALL", on_set_vring_call,
					EXACT(uint64_t), 0, NO_PF, ST_OWNED },
	[VHOST_USER_SET_VRING_ERR] = { "SET_VRING_ERR", on_set_vring_err,
				       EXACT(uint64_t), 0, NO_PF, ST_OWNED },
	[VHOST_USER_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES",
					       on_get_protocol_features,
					       SIZE(0, 0), 0, NO_PF, ST_ANY },
	[VHOST_USER_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES",
					       on_set_protocol_features,
					       EXACT(uint64_t), 0, NO_PF,
					       ST_ANY },
	[VHOST_USER_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", on_get_queue_num,
				       SIZE(0, 0), 0, PF(MQ), ST_ANY },
	[VHOST_USER_SET_VRING_ENABLE] = { "SET_VRING_ENABLE",
					  on_set_vring_enable,
					  EXACT(struct vhost_user_vring_state),
					  0, NO_PF, ST_OWNED },
	[VHOST_USER_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD",
					    on_set_backend_req_fd,
					    SIZE(0, sizeof(uint64_t)), 1,
					    PF(BACKEND_REQ), ST_ANY },
	[VHOST_USER_GET_CONFIG] = { "GET_CONFIG", on_get_config,
				    SIZE(CONFIG_HEAD,
					 sizeof(struct vhost_user_config)),
				    0, PF(CONFIG), ST_ANY },
	[VHOST_USER_SET_CONFIG] = { "SET_CONFIG", on_set_config,
				    SIZE(CONFIG_HEAD,
					 sizeof(struct vhost_user_config)),
				    0, PF(CONFIG), ST_ANY },
	[VHOST_USER_RESET_DEVICE] = { "RESET_DEVICE", on_reset, SIZE(0, 0), 0,
				      PF(RESET_DEVICE), ST_OWNED },
	[VHOST_USER_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS",
					   on_get_max_mem_slots, SIZE(0, 0), 0,
					   PF(CONFIGURE_MEM_SLOTS), ST_ANY },
	[VHOST_USER_ADD_MEM_REG] = { "ADD_MEM_REG", on_add_mem_reg,
				     EXACT(struct vhost_user_single_region), 0,
				     PF(CONFIGURE_MEM_SLOTS), ST_OWNED },
	[VHOST_USER_REM_MEM_REG] = { "REM_MEM_REG", on_rem_mem_reg,
				     EXACT(struct vhost_user_single_region), 0,
				     PF(CONFIGURE_MEM_SLOTS), ST_OWNED },
};

const struct msg_row *msg_row(uint32_t request)
{
	if (request >= ARRAY_SIZE(rows) || !rows[request].fn)
		return NULL;
	return &rows[request];
}
