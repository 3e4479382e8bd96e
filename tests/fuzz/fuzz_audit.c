/* The read audit as it is read: entries, parts, heads, starts, whole files, the witness, audit.lost, and a part with its proof.
 *
 * Input: u8 kind, bytes. A file is frames; a second start in it begins the next file. The mutator changes what a frame holds, or the frames'
 * order, and mostly mends what then is wrong: sums, numbers, links, roots and signatures. Must hold: what is read has one spelling and
 * keeps to its bounds, a chain that takes frames takes them again and comes to the same place, with no unit twice; what is
 * proven by one key is not by another, nor for another federation. */
#include "proto/store/audit_dir.h"
#include "tests/fuzz/lib/changeset.h"

#include "lienthong/v1/audit.pb-c.h"

#include <stdlib.h>
#include <string.h>

enum { FILES, ENTRY, PART, HEAD, START, WITNESS, LOST, SHOWN, KINDS };

#define FRAMES_MAX 64

static struct lt_sign_key key, other;
static struct lt_fed fed, other_fed;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t seed[32] = { 9 };

	(void)argc;
	(void)argv;
	fuzz_setup();
	fuzz_sign_key(&key);
	lt_sign_key_from_seed(seed, &other);
	memset(fed.b, 0x40, LT_FED_LEN);
	memset(other_fed.b, 0x41, LT_FED_LEN);
	return 0;
}

static void
same(struct lt_buf *b, struct lt_slice bytes)
{
	FUZZ_MUST(b->err == LT_OK && lt_slice_eq(lt_buf_slice(b), bytes));
	lt_buf_fini(b);
}

static void
check_text(const char *s, size_t max)
{
	FUZZ_MUST(strlen(s) <= max);
	for (; *s != '\0'; s++)
		FUZZ_MUST(*s > ' ' && *s <= '~');
}

static void
check_entry(const struct lt_audit_entry *e, struct lt_slice bytes)
{
	struct lt_buf b = { 0 };

	check_text(e->method, LT_AUDIT_METHOD_MAX);
	FUZZ_MUST(e->seq != 0 && e->nparts <= LT_AUDIT_PARTS_MAX);
	FUZZ_MUST(e->kind >= LT_AUDIT_READ && e->kind <= LT_AUDIT_GAP);
	lt_audit_entry_put(&b, e);
	same(&b, bytes);
}

static void
part(struct lt_slice bytes)
{
	struct lt_audit_part p;
	struct lt_buf b = { 0 };
	size_t i;

	if (lt_audit_part_read(bytes, &p) != LT_OK)
		return;
	FUZZ_MUST(lt_audit_unit_valid(p.unit) && p.no != 0);
	for (i = 0; i < p.ncollection; i++)
		check_text(p.collection[i], LT_NAME_MAX);
	lt_audit_part_put(&b, &p);
	same(&b, bytes);
}

static void
entry(struct lt_slice bytes)
{
	struct lt_audit_full f;
	struct lt_buf b = { 0 };
	struct lt_reader r;
	unsigned i;

	if (lt_audit_full_read(bytes, &f) != LT_OK)
		return;
	check_entry(&f.entry, f.bytes);
	lt_buf_framed(&b, f.bytes);
	lt_buf_put(&b, f.salt, LT_AUDIT_SALT);
	lt_buf_put_slice(&b, f.parts);
	same(&b, bytes);
	lt_reader_init(&r, f.parts);
	for (i = 0; i < f.entry.nparts; i++)
		part(lt_read_framed(&r));
	FUZZ_MUST(r.err == LT_OK && lt_reader_left(&r) == 0);
}

static void
head(struct lt_slice bytes)
{
	struct lt_audit_head h;
	struct lt_buf b = { 0 };

	if (lt_audit_head_read(bytes, &h) != LT_OK)
		return;
	FUZZ_MUST(h.count != 0 && h.count <= LT_AUDIT_ENTRIES_MAX && h.no != 0 && h.first != 0);
	lt_audit_head_put(&b, &h);
	same(&b, bytes);
}

static void
start(struct lt_slice bytes)
{
	struct lt_audit_start s;
	struct lt_buf b = { 0 };

	if (lt_audit_start_read(bytes, &s) != LT_OK)
		return;
	FUZZ_MUST(s.nunits <= LT_AUDIT_UNITS_MAX && s.segment != 0);
	lt_audit_start_put(&b, &s);
	same(&b, bytes);
}

static void
witness(struct lt_slice bytes)
{
	struct lt_audit_seen seen;

	if (lt_audit_witness_parse(bytes, &seen) == LT_OK)
		FUZZ_MUST(seen.no != 0);
}

static void
lost(struct lt_slice bytes)
{
	uint8_t again[LT_AUDIT_LOST_BYTES];
	struct lt_audit_lost l;

	if (lt_audit_lost_parse(bytes, &l) != LT_OK)
		return;
	check_text(l.why, LT_AUDIT_WHY_MAX);
	lt_audit_lost_put(&l, again);
	FUZZ_MUST(lt_slice_eq(bytes, lt_slice(again, sizeof(again))));
}

struct reading {
	struct lt_audit_chain chain;
	struct lt_buf again;
	struct lt_err err;
	int rc; /* of the chain */
};

static int
take_frame(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	struct reading *r = ctx;

	r->rc = lt_audit_chain_add(&r->chain, type, payload, key.pk, &r->err);
	FUZZ_MUST(r->rc == LT_OK || r->err.text[0] != '\0');
	if (r->rc == LT_OK)
		lt_audit_frame_put(&r->again, type, payload);
	return r->rc;
}

static void
check_chain(const struct lt_audit_chain *c)
{
	size_t i;

	FUZZ_MUST(c->nopen <= LT_AUDIT_ENTRIES_MAX && c->nunit <= LT_AUDIT_UNITS_MAX);
	for (i = 0; i < c->nunit; i++) {
		FUZZ_MUST(lt_audit_unit_valid(c->unit[i].unit));
		FUZZ_MUST(i == 0 || strcmp(c->unit[i - 1].unit, c->unit[i].unit) < 0);
		FUZZ_MUST(lt_audit_chain_unit(c, c->unit[i].unit) == &c->unit[i]);
	}
}

static void
files(struct lt_slice bytes)
{
	struct reading one = { .rc = LT_OK }, two = { .rc = LT_OK };
	size_t good, more;
	int rc = lt_audit_frames(bytes, take_frame, &one, &good);

	FUZZ_MUST(good <= bytes.len && (rc != LT_OK || good == bytes.len));
	FUZZ_MUST(rc == LT_OK || one.rc != LT_OK || rc == LT_E_GAP || rc == LT_E_CORRUPT);
	if (one.rc == LT_OK)
		check_chain(&one.chain);
	FUZZ_MUST(lt_slice_eq(lt_buf_slice(&one.again), lt_slice(bytes.data, good)));
	FUZZ_MUST(lt_audit_frames(lt_slice(bytes.data, good), take_frame, &two, &more) == LT_OK);
	FUZZ_MUST(more == good);
	if (one.rc == LT_OK) {
		FUZZ_MUST(one.chain.next_seq == two.chain.next_seq &&
			  one.chain.next_head == two.chain.next_head &&
			  one.chain.nunit == two.chain.nunit &&
			  lt_hash_eq(&one.chain.prev, &two.chain.prev));
	}
	lt_audit_chain_fini(&one.chain);
	lt_audit_chain_fini(&two.chain);
	lt_buf_fini(&one.again);
	lt_buf_fini(&two.again);
}

static bool
hashes(size_t n, const ProtobufCBinaryData *in, struct lt_hash *out)
{
	size_t i;

	for (i = 0; i < n && i < LT_MERKLE_PATH_MAX; i++) {
		if (in[i].len != LT_HASH_LEN)
			return false;
		memcpy(out[i].b, in[i].data, LT_HASH_LEN);
	}
	return n <= LT_MERKLE_PATH_MAX;
}

static void
shown(struct lt_slice bytes)
{
	Ltpb__AuditShown *m = ltpb__audit_shown__unpack(NULL, bytes.len, bytes.data);
	struct lt_hash part_path[LT_MERKLE_PATH_MAX], path[LT_MERKLE_PATH_MAX];
	struct lt_audit_entry e;
	struct lt_audit_part p;
	struct lt_audit_head h;
	struct lt_audit_shown s;
	struct lt_err err = { "" };

	if (m != NULL && m->part_salt.len == LT_AUDIT_SALT &&
	    hashes(m->n_part_path, m->part_path, part_path) && hashes(m->n_path, m->path, path)) {
		s = (struct lt_audit_shown){ .entry = lt_slice(m->entry.data, m->entry.len),
			.part = lt_slice(m->part.data, m->part.len),
			.index = m->index,
			.part_path = part_path,
			.npart_path = m->n_part_path,
			.path = path,
			.npath = m->n_path,
			.head = lt_slice(m->head.data, m->head.len),
			.signature = lt_slice(m->signature.data, m->signature.len) };
		memcpy(s.part_salt, m->part_salt.data, LT_AUDIT_SALT);
		if (lt_audit_shown_verify(&s, key.pk, &fed, &e, &p, &h, &err) == LT_OK) {
			FUZZ_MUST(e.seq >= h.first && e.seq - h.first < h.count);
			FUZZ_MUST(s.index < e.nparts);
			FUZZ_MUST(lt_audit_shown_verify(&s, other.pk, &fed, &e, &p, &h, NULL) ==
				  LT_E_BADSIG);
			FUZZ_MUST(lt_audit_shown_verify(&s, key.pk, &other_fed, &e, &p, &h, NULL) ==
				  LT_E_DENIED);
		} else {
			FUZZ_MUST(err.text[0] != '\0');
		}
	}
	if (m != NULL)
		protobuf_c_message_free_unpacked(&m->base, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const read[KINDS])(
	    struct lt_slice) = { files, entry, part, head, start, witness, lost, shown };
	struct lt_slice bytes;
	struct fuzz_in in;
	unsigned kind;
	uint8_t *exact;

	fuzz_in_init(&in, data, size);
	kind = fuzz_u8(&in) % KINDS;
	bytes = fuzz_rest(&in);
	exact = fuzz_copy(bytes);
	bytes.data = exact;
	read[kind](bytes);
	free(exact);
	return 0;
}

/* ---- mending ---- */

/* An entry's frame, its numbers and links those of the chain, its root that of its parts. */
static void
mend_entry(const struct lt_audit_chain *c, struct lt_slice payload, struct lt_buf *out)
{
	struct lt_buf parts = { 0 }, one = { 0 }, bytes = { 0 };
	const struct lt_audit_unit *u;
	struct lt_audit_entry e;
	struct lt_audit_part p;
	struct lt_merkle tree;
	struct lt_hash leaf;
	struct lt_reader r;
	struct lt_slice salt;
	uint8_t part_salt[LT_AUDIT_SALT];

	lt_reader_init(&r, payload);
	if (lt_audit_entry_read(lt_read_framed(&r), &e) != LT_OK)
		e = (struct lt_audit_entry){ .kind = LT_AUDIT_READ, .method = "x" };
	salt = lt_read_bytes(&r, LT_AUDIT_SALT);
	e.seq = c->next_seq;
	e.nparts = 0;
	lt_merkle_init(&tree);
	while (r.err == LT_OK && lt_reader_left(&r) != 0 && e.nparts < LT_AUDIT_PARTS_MAX) {
		struct lt_slice bytes_of = lt_read_framed(&r);

		if (r.err != LT_OK || lt_audit_part_read(bytes_of, &p) != LT_OK)
			continue;
		u = lt_audit_chain_unit(c, p.unit);
		p.no = u == NULL ? 1 : u->no + 1;
		memset(&p.prev, 0, sizeof(p.prev));
		if (u != NULL)
			p.prev = u->leaf;
		lt_buf_clear(&one);
		lt_audit_part_put(&one, &p);
		lt_audit_part_salt(salt.data, e.nparts++, part_salt);
		lt_audit_leaf(part_salt, lt_buf_slice(&one), &leaf);
		lt_merkle_add(&tree, &leaf);
		lt_buf_framed(&parts, lt_buf_slice(&one));
	}
	lt_merkle_end(&tree, &e.parts_root);
	lt_audit_entry_put(&bytes, &e);
	lt_buf_framed(out, lt_buf_slice(&bytes));
	if (salt.len == LT_AUDIT_SALT)
		lt_buf_put_slice(out, salt);
	else
		lt_buf_put(out, fed.b, LT_AUDIT_SALT);
	lt_buf_put_slice(out, lt_buf_slice(&parts));
	lt_buf_fini(&parts);
	lt_buf_fini(&one);
	lt_buf_fini(&bytes);
}

static void
mend_head(const struct lt_audit_chain *c, struct lt_slice payload, struct lt_buf *out)
{
	struct lt_audit_head h = { .time_ms = 1 };
	struct lt_slice body, sig;
	struct lt_buf b = { 0 };

	if (lt_audit_signed_read(payload, &body, &sig) == LT_OK)
		(void)lt_audit_head_read(body, &h);
	h.federation = c->at.federation;
	h.hub = c->at.hub;
	h.key_no = c->at.key_no;
	h.log = c->at.log;
	h.no = c->next_head;
	h.count = c->nopen;
	h.first = c->next_seq - c->nopen;
	h.prev = c->prev;
	lt_merkle_root(c->open, c->nopen, &h.root);
	lt_audit_head_put(&b, &h);
	lt_audit_signed_put(out, &key, LT_TAG_AUDIT_HEAD, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

/* The next file of the log, or, where log is another, its first one. */
static void
mend_start(const struct lt_audit_chain *c, struct lt_slice payload, struct lt_buf *out)
{
	struct lt_slice body, sig;
	struct lt_audit_start s;
	struct lt_buf b = { 0 }, units = { 0 };
	size_t i;

	if (lt_audit_signed_read(payload, &body, &sig) != LT_OK ||
	    lt_audit_start_read(body, &s) != LT_OK) {
		lt_buf_put_slice(out, payload);
		return;
	}
	if (c->begun) {
		s.segment = c->at.segment + 1;
		s.next_seq = s.next_head = 1;
		s.nunits = 0;
		if (s.log == c->at.log) {
			s.next_seq = c->next_seq;
			s.next_head = c->next_head;
			s.prev = c->prev;
			s.nunits = (uint32_t)c->nunit;
			for (i = 0; i < c->nunit; i++) {
				lt_buf_framed8(&units, lt_slice_str(c->unit[i].unit));
				lt_buf_u64(&units, c->unit[i].no);
				lt_buf_put(&units, c->unit[i].leaf.b, LT_HASH_LEN);
			}
		}
		s.units = lt_buf_slice(&units);
	}
	lt_audit_start_put(&b, &s);
	lt_audit_signed_put(out, &key, LT_TAG_AUDIT_START, lt_buf_slice(&b));
	lt_buf_fini(&b);
	lt_buf_fini(&units);
}

struct frame {
	uint8_t type;
	struct lt_slice payload; /* borrowed from what is mutated */
};

/* As far as lengths lead. */
static size_t
cut(struct lt_slice bytes, struct frame *f)
{
	size_t n = 0;

	while (n < FRAMES_MAX && bytes.len >= 13) {
		size_t len = lt_load_u32(bytes.data);

		if (len > bytes.len - 13)
			len = bytes.len - 13;
		f[n].type = bytes.data[4];
		f[n++].payload = lt_slice(bytes.data + 5, len);
		bytes = lt_slice(bytes.data + 13 + len, bytes.len - 13 - len);
	}
	return n;
}

static void
put(struct lt_audit_chain *c, const struct frame *f, bool mend, struct lt_buf *out)
{
	struct lt_buf payload = { 0 };

	if (mend && f->type == LT_AUDIT_START)
		mend_start(c, f->payload, &payload);
	else if (mend && c->begun && f->type == LT_AUDIT_ENTRY)
		mend_entry(c, f->payload, &payload);
	else if (mend && c->begun && f->type == LT_AUDIT_HEAD)
		mend_head(c, f->payload, &payload);
	else
		lt_buf_put_slice(&payload, f->payload);
	(void)lt_audit_chain_add(
	    c, (enum lt_audit_frame)f->type, lt_buf_slice(&payload), key.pk, NULL);
	lt_audit_frame_put(out, (enum lt_audit_frame)f->type, lt_buf_slice(&payload));
	lt_buf_fini(&payload);
}

static size_t
mutate_files(uint8_t *data, size_t size, size_t max_size, struct fuzz_rng *rng)
{
	struct frame f[FRAMES_MAX + 1];
	struct lt_audit_chain chain = { 0 };
	struct lt_buf out = { 0 };
	size_t n = cut(lt_slice(data, size), f), at = fuzz_below(rng, n), to = fuzz_below(rng, n),
	       i;
	uint8_t *own = malloc(max_size + 1);
	bool mend = fuzz_below(rng, 8) != 0;

	FUZZ_MUST(own != NULL);
	if (n == 0) {
		free(own);
		return LLVMFuzzerMutate(data, size, max_size);
	}
	switch (fuzz_below(rng, 4)) {
	case 0: /* one left out */
		memmove(&f[at], &f[at + 1], (n - at - 1) * sizeof(f[0]));
		n--;
		break;
	case 1: /* one more, somewhere */
		f[n < FRAMES_MAX ? n++ : to] = f[at];
		/* fall through */
	case 2: {
		struct frame x = f[n - 1];

		memmove(&f[to + 1], &f[to], (n - 1 - to) * sizeof(f[0]));
		f[to] = x;
		break;
	}
	default:
		memcpy(own, f[at].payload.data, f[at].payload.len);
		f[at].payload.len = LLVMFuzzerMutate(own, f[at].payload.len, max_size);
		f[at].payload.data = own;
		break;
	}
	for (i = 0; i < n; i++)
		put(&chain, &f[i], mend, &out);
	if (out.err == LT_OK && out.len <= max_size && out.len != 0) {
		memcpy(data, out.data, out.len);
		size = out.len;
	}
	lt_audit_chain_fini(&chain);
	lt_buf_fini(&out);
	free(own);
	return size;
}

/* The sum of a frame, or of audit.lost, right again. */
static size_t
mend_sum(uint8_t *data, size_t size, unsigned kind)
{
	struct lt_buf b = { 0 };
	struct lt_hash h;

	if (kind == WITNESS && size >= 13) {
		lt_audit_frame_put(&b, LT_AUDIT_HEAD, lt_slice(data + 5, size - 13));
		memcpy(data, b.data, size);
	} else if (kind == LOST && size == LT_AUDIT_LOST_BYTES) {
		lt_h1(LT_TAG_AUDIT_LOST, lt_slice(data, size - 8), &h);
		memcpy(data + size - 8, h.b, 8);
	}
	lt_buf_fini(&b);
	return size;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };
	unsigned kind = size == 0 ? 0 : data[0] % KINDS;

	if (size == 0 || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (kind == FILES)
		return 1 + mutate_files(data + 1, size - 1, max_size - 1, &rng);
	if (kind == SHOWN)
		return 1 + fuzz_pb_mutate(&ltpb__audit_shown__descriptor, data + 1, size - 1,
			       max_size - 1, &rng);
	return 1 + mend_sum(data + 1, LLVMFuzzerMutate(data + 1, size - 1, max_size - 1), kind);
}
