/* A hub before a hostile node, and a node before a hostile hub: messages of the replication, with change-sets that are signed.
 *
 * Input: u8 kind (what is asked, of whom), then messages, each u16 length and bytes. The mutator knows the schema and mostly
 * signs change-sets again with the key that the sender has. Must hold: whatever is said, what then stands in the log without
 * a gap is signed by a key that the registry knows; both sides go on answering.
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/store/admit.h"
#include "tests/fuzz/lib/changeset.h"
#include "tests/fuzz/lib/world.h"
#include "tests/lib/random.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 16

enum {
	HUB_HELLO,
	HUB_ANNOUNCE,
	HUB_PUSH,
	HUB_PULL,
	HUB_JOIN,
	NODE_HELLO,
	NODE_ANNOUNCE,
	NODE_PUSH,
	NODE_PULL,
	NODE_JOIN,
	/* Behind the others: seeds name kinds by number. */
	HUB_FETCH,
	HUB_SUPPLY,
	NODE_FETCH,
	NODE_SUPPLY,
	KINDS
};

static const struct {
	const char *method; /* of the hub; NULL: the node's half */
	const ProtobufCMessageDescriptor *message;
	enum lt_sync_action_kind action;
} kinds[KINDS] = {
	[HUB_HELLO] = { "/lienthong.v1.Sync/Hello", &ltpb__hello_request__descriptor, 0 },
	[HUB_ANNOUNCE] = { "/lienthong.v1.Sync/Announce", &ltpb__announce_request__descriptor, 0 },
	[HUB_PUSH] = { "/lienthong.v1.Sync/Push", &ltpb__push_request__descriptor, 0 },
	[HUB_PULL] = { "/lienthong.v1.Sync/Pull", &ltpb__pull_request__descriptor, 0 },
	[HUB_JOIN] = { "/lienthong.v1.Enrol/Join", &ltpb__join_request__descriptor, 0 },
	[NODE_HELLO] = { NULL, &ltpb__hello_reply__descriptor, LT_SYNC_DO_HELLO },
	[NODE_ANNOUNCE] = { NULL, &ltpb__announce_reply__descriptor, LT_SYNC_DO_ANNOUNCE },
	[NODE_PUSH] = { NULL, &ltpb__push_reply__descriptor, LT_SYNC_DO_PUSH },
	[NODE_PULL] = { NULL, &ltpb__pull_item__descriptor, LT_SYNC_DO_PULL },
	[NODE_JOIN] = { NULL, &ltpb__join_reply__descriptor, LT_SYNC_DO_JOIN },
	[HUB_FETCH] = { "/lienthong.v1.Sync/Fetch", &ltpb__fetch_request__descriptor, 0 },
	[HUB_SUPPLY] = { "/lienthong.v1.Sync/Supply", &ltpb__supply_request__descriptor, 0 },
	[NODE_FETCH] = { NULL, &ltpb__fetch_reply__descriptor, LT_SYNC_DO_FETCH },
	[NODE_SUPPLY] = { NULL, &ltpb__supply_reply__descriptor, LT_SYNC_DO_SUPPLY },
};

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	fuzz_world();
	return 0;
}

/* ---- what must be true of a log ---- */

struct checking {
	struct lt_kv_txn *txn;
};

static int
no_gap(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct checking *c = ctx;
	struct lt_hash hash;
	uint64_t seq, position;

	for (seq = 1; seq <= head->seq; seq++)
		FUZZ_MUST(lt_feed_log_find(c->txn, unit, feed, seq, &position) == LT_OK);
	FUZZ_MUST(lt_feed_log_hash(c->txn, unit, feed, head->seq, &hash) == LT_OK);
	FUZZ_MUST(lt_hash_eq(&hash, &head->hash) && head->judged <= head->seq);
	return LT_OK;
}

static void
check_log(struct lt_kv *kv, const struct lt_registry *reg)
{
	const struct lt_fed *fed = &fuzz_node_identity()->federation;
	struct checking c;
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	struct lt_err err = { "" };
	uint64_t last, position;

	FUZZ_MUST(lt_kv_begin_read(kv, &c.txn) == LT_OK);
	FUZZ_MUST(lt_feed_log_each(c.txn, NULL, no_gap, &c) == LT_OK);
	FUZZ_MUST(lt_feed_log_last(c.txn, &last) == LT_OK);
	for (position = 1; position <= last; position++) {
		lt_arena_init(&arena, (size_t)64 << 20);
		FUZZ_MUST(lt_feed_log_read(c.txn, position, &e) == LT_OK);
		FUZZ_MUST(lt_changeset_parse(e.changeset, &arena, &cs, &err) == LT_OK);
		FUZZ_MUST(lt_admit_signed(&cs, fed, reg, false, false, &err) == LT_OK);
		lt_arena_fini(&arena);
	}
	lt_kv_abort(c.txn);
}

/* ---- the hub ---- */

static void
hear(void *ctx, const ProtobufCMessage *m)
{
	struct lt_buf b = { 0 };

	(void)ctx;
	FUZZ_MUST(lt_wire_pack(m, LT_MESSAGE_MAX, &b) == LT_OK);
	FUZZ_MUST(lt_wire_check(m->descriptor, lt_buf_slice(&b), LT_MESSAGE_MAX, NULL) == LT_OK);
	lt_buf_fini(&b);
}

static void
tell_hub(unsigned kind, struct fuzz_in *in)
{
	struct lt_peer line = fuzz_node_line();
	struct lt_registry *reg;
	struct lt_arena arena;
	struct lt_slice bytes;
	ProtobufCMessage *m;
	struct lt_err err = { "" };
	unsigned i;

	FUZZ_MUST(
	    fuzz_hub_open(fuzz_world_store(FUZZ_HUB_LOG), fuzz_world_store(FUZZ_HUB_DERIVED)));
	for (i = 0; i < MESSAGES_MAX && fuzz_left(in) != 0; i++) {
		bytes = fuzz_block(in);
		fuzz_arena_init(&arena, bytes.len);
		if (lt_wire_unpack(kinds[kind].message, bytes, LT_MESSAGE_MAX, &arena, &m, &err) ==
		    LT_OK)
			(void)memfed_ask(fuzz_hub(), &line, kinds[kind].method, m, hear, NULL);
		fuzz_arena_fini(&arena);
	}
	reg = lt_hub_registry(fuzz_hub()->f.hub);
	check_log(fuzz_hub()->log, reg);
	lt_registry_unref(reg);
	fuzz_hub_close();
}

/* ---- the node ---- */

static void
settle(struct lt_node *node)
{
	unsigned i;

	for (i = 0; i < 256 && lt_node_step(node); i++)
		;
}

/* Its newest own feed, to have something to push. */
static int
own_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_sync_action *a = ctx;
	struct lt_id author = lt_feed_author(feed);

	if (strcmp(unit->s, FUZZ_WORLD_UNIT) == 0 &&
	    lt_id_eq(&author, &fuzz_node_identity()->principal)) {
		a->feed = *feed;
		a->from_seq = head->seq;
	}
	return LT_OK;
}

static void
talk(struct lt_node *node, struct lt_session *session, unsigned kind, struct fuzz_in *in)
{
	struct lt_sync_action a = { .kind = kinds[kind].action, .max_bytes = LT_SYNC_BATCH_MAX };
	struct lt_status st = { .code = LT_STATUS_OK };
	struct lt_session_request req;
	struct lt_session_call call;
	struct lt_arena arena, message;
	struct lt_kv_txn *txn;
	struct lt_slice bytes;
	ProtobufCMessage *m;
	struct lt_err err = { "" };
	unsigned i;

	FUZZ_MUST(lt_kv_begin_read(lt_node_kv(node), &txn) == LT_OK);
	(void)lt_feed_log_each(txn, NULL, own_feed, &a);
	lt_kv_abort(txn);
	lt_arena_init(&arena, (size_t)64 << 20);
	if (lt_session_ask(session, &a, &arena, &call, &req) != LT_OK) {
		lt_arena_fini(&arena);
		return;
	}
	/* All but a pull has one reply. */
	for (i = 0; i < (kind == NODE_PULL ? MESSAGES_MAX : 1) && fuzz_left(in) != 0; i++) {
		bytes = fuzz_block(in);
		fuzz_arena_init(&message, bytes.len);
		if (lt_wire_unpack(
			kinds[kind].message, bytes, LT_MESSAGE_MAX, &message, &m, &err) == LT_OK) {
			while (!lt_session_has_room(session) && lt_node_step(node))
				;
			lt_session_take(session, &call, m);
		}
		fuzz_arena_fini(&message);
	}
	settle(node);
	lt_session_end(session, &call, &st);
	lt_arena_fini(&arena);
}

static void
tell_node(unsigned kind, struct fuzz_in *in)
{
	struct lt_session_options so = { 0 };
	struct lt_kv *kv = fuzz_world_store(FUZZ_NODE);
	struct lt_node *node = fuzz_node_open(kv);
	struct fed_node n = { .node = node };
	struct lt_session *session;
	struct lt_registry *reg;

	FUZZ_MUST(node != NULL);
	so.node = node;
	FUZZ_MUST(lt_session_new(&so, &session) == LT_OK);
	talk(node, session, kind, in);
	settle(node);
	(void)fed_put_dossier(&n, 77, NULL, NULL);
	reg = lt_node_registry(node);
	check_log(kv, reg);
	lt_registry_unref(reg);
	lt_session_free(session);
	lt_node_close(node);
	lt_kv_close(kv);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in;
	unsigned kind;

	test_random_seed(7);
	fuzz_in_init(&in, data, size);
	kind = fuzz_u8(&in) % KINDS;
	if (kinds[kind].method != NULL)
		tell_hub(kind, &in);
	else
		tell_node(kind, &in);
	return 0;
}

/* ---- mutation ---- */

static void
sign_one(const struct lt_sign_key *key, ProtobufCBinaryData *b)
{
	uint8_t *p = malloc(b->len + 4096);

	FUZZ_MUST(p != NULL);
	if (b->len != 0)
		memcpy(p, b->data, b->len);
	b->len = fuzz_changeset_fix_with(key, p, b->len, b->len + 4096);
	free(b->data);
	b->data = p;
}

/* Change-sets of a message, signed by who sends it. */
static size_t
sign_all(unsigned kind, uint8_t *data, size_t size, size_t max_size)
{
	ProtobufCMessage *m = protobuf_c_message_unpack(kinds[kind].message, NULL, size, data);
	Ltpb__PushRequest *push = (Ltpb__PushRequest *)m;
	Ltpb__PullItem *item = (Ltpb__PullItem *)m;
	size_t i, n;

	if (m == NULL)
		return size;
	for (i = 0; kind == HUB_PUSH && i < push->n_change_set; i++)
		sign_one(&fuzz_node_identity()->sign, &push->change_set[i]);
	if (kind == NODE_PULL && item->item_case == LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		sign_one(&fuzz_hub()->f.hub_id->sign, &item->change_set);
	n = protobuf_c_message_get_packed_size(m);
	if (n <= max_size)
		size = protobuf_c_message_pack(m, data);
	protobuf_c_message_free_unpacked(m, NULL);
	return size;
}

/* One message of the input is mutated in its place. */
size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };
	struct lt_buf out = { 0 };
	struct lt_slice message;
	struct fuzz_in in;
	uint8_t *p;
	size_t n, at, i, len;
	unsigned kind = size == 0 ? 0 : data[0] % KINDS;

	if (size < 4 || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	fuzz_in_init(&in, data + 1, size - 1);
	for (n = 0; fuzz_left(&in) != 0; n++)
		(void)fuzz_block(&in);
	at = fuzz_below(&rng, n);
	fuzz_in_init(&in, data + 1, size - 1);
	lt_buf_u8(&out, data[0]);
	p = malloc(65535);
	FUZZ_MUST(p != NULL);
	for (i = 0; i < n; i++) {
		message = fuzz_block(&in);
		len = message.len;
		if (len != 0)
			memcpy(p, message.data, len);
		if (i == at) {
			len = fuzz_pb_mutate(kinds[kind].message, p, len, 32768, &rng);
			if (fuzz_below(&rng, 8) != 0)
				len = sign_all(kind, p, len, 65535);
		}
		lt_buf_u16(&out, (uint16_t)len);
		lt_buf_put(&out, p, len);
	}
	if (out.len <= max_size) {
		size = out.len;
		memcpy(data, out.data, size);
	}
	free(p);
	lt_buf_fini(&out);
	return size;
}
