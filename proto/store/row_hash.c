/* What is hashed of the rows of a batch (FORMAT.md 5.3, 5.4), many beside each other. */
#include "proto/store/projection_impl.h"

#include "proto/feed/hash_many.h"

#define AT_ONCE 64
#define TAG_LEN 10
#define NAME_MAX_LEN (1 + TAG_LEN + 3 * 4 + LT_NAME_MAX + LT_UNIT_MAX + LT_KEY_MAX)

static const char row_tag[] = "\x0alt1.lthash", bucket_tag[] = "\x0alt1.bucket",
		  revision_tag[] = "\x09lt1.value";

static uint8_t *
put_framed(uint8_t *p, const char *s)
{
	size_t n = strlen(s);

	lt_store_u32(p, (uint32_t)n);
	memcpy(p + 4, s, n);
	return p + 4 + n;
}

/* tag || framed(collection) || framed(unit) || framed(key) */
static struct lt_slice
name_of(const struct lt_touched *t, const char *tag, uint8_t out[NAME_MAX_LEN])
{
	uint8_t *p = out + 1 + TAG_LEN;

	memcpy(out, tag, 1 + TAG_LEN);
	p = put_framed(p, t->collection);
	p = put_framed(p, t->unit.s);
	p = put_framed(p, t->key);
	return lt_slice(out, (size_t)(p - out));
}

static void
hash_some(struct lt_touched *const *list, size_t n)
{
	struct lt_hash_job job[2 * AT_ONCE], revision[AT_ONCE];
	uint8_t name[2 * AT_ONCE][NAME_MAX_LEN];
	struct lt_hash bucket[AT_ONCE];
	const struct lt_slice no_key = { NULL, 0 };
	size_t i, k = 0, m = 0;

	for (i = 0; i < n; i++) {
		struct lt_touched *t = list[i];

		if (!t->loaded)
			continue;
		job[k].head = name_of(t, row_tag, name[k]);
		job[k].body = t->row;
		job[k++].out = t->new.b;
		job[k].head = name_of(t, bucket_tag, name[k]);
		job[k].body = lt_slice(NULL, 0);
		job[k++].out = bucket[i].b;
		revision[m].head = lt_slice(revision_tag, sizeof(revision_tag) - 1);
		revision[m].body = t->row;
		revision[m++].out = t->revision;
	}
	lt_hash_many(no_key, LT_HASH_LEN, job, k);
	lt_hash_many(no_key, sizeof(list[0]->revision), revision, m);
	for (i = 0; i < n; i++) {
		if (list[i]->loaded)
			list[i]->bucket = bucket[i].b[0] % LT_DIGEST_BUCKETS;
	}
}

void
lt_touched_hash(struct lt_touched *const *list, size_t n)
{
	size_t i;

	_Static_assert(sizeof(list[0]->new.b) == LT_HASH_LEN, "a digest key is one hash");
	for (i = 0; i < n; i += AT_ONCE)
		hash_some(list + i, n - i < AT_ONCE ? n - i : AT_ONCE);
}
