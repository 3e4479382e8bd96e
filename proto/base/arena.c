#include "proto/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES_FIRST ((size_t)1024) /* a value or two is all that many need */
#define BLOCK_BYTES ((size_t)16 * 1024)
#define BLOCK_BYTES_MAX ((size_t)1024 * 1024)

struct lt_arena_block {
	struct lt_arena_block *next;
	size_t size;
	size_t off;
	size_t used; /* bytes that were handed out before it was emptied; what is beyond is zero */
	uint8_t data[];
};

static void *
pb_alloc(void *d, size_t n)
{
	return lt_arena_alloc(d, n);
}

static void
pb_free(void *d, void *p)
{
	(void)d;
	(void)p;
}

size_t
lt_arena_cap_for(size_t len)
{
	const size_t base = (size_t)512 * 1024, top = (size_t)32 * 1024 * 1024;

	return len > (top - base) / 32 ? top : base + 32 * len;
}

void
lt_arena_init(struct lt_arena *a, size_t cap)
{
	memset(a, 0, sizeof(*a));
	a->cap = cap;
	a->pb.alloc = pb_alloc;
	a->pb.free = pb_free;
	a->pb.allocator_data = a;
}

static void
free_chain(struct lt_arena_block *b)
{
	struct lt_arena_block *next;

	for (; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
}

void
lt_arena_fini(struct lt_arena *a)
{
	free_chain(a->head);
	free_chain(a->spare);
	a->head = a->spare = NULL;
	a->used = 0;
}

/* Zeroed when it is handed out again, by whom that matters to: then it is where the processor has it. */
static void
block_empty(struct lt_arena_block *b)
{
	if (b->off > b->used)
		b->used = b->off;
	b->off = 0;
}

/* The largest blocks, which came last, are kept first. */
void
lt_arena_recycle(struct lt_arena *a, size_t keep)
{
	struct lt_arena_block *b, *next, **end = &a->spare;
	size_t kept = 0;

	for (b = a->spare; b != NULL; b = b->next)
		kept += b->size;
	for (b = a->head; b != NULL; b = next) {
		next = b->next;
		if (b->size > keep - (kept < keep ? kept : keep)) {
			free(b);
			continue;
		}
		kept += b->size;
		block_empty(b);
		b->next = *end;
		*end = b;
		end = &b->next;
	}
	a->head = NULL;
	a->used = 0;
}

void
lt_arena_clear(struct lt_arena *a)
{
	struct lt_arena_block *b = a->head, *next;

	if (b == NULL)
		return;
	for (next = b->next; next != NULL; next = b->next) {
		b->next = next->next;
		free(next);
	}
	if (b->size > BLOCK_BYTES_MAX) {
		lt_arena_fini(a);
		return;
	}
	block_empty(b);
	a->used = b->size;
}

/* Blocks grow with what there is, so that much memory is few calls, and little memory stays little. */
static size_t
block_size(const struct lt_arena *a, size_t n)
{
	size_t size = a->used / 4 / BLOCK_BYTES * BLOCK_BYTES;

	if (size < BLOCK_BYTES)
		size = a->used == 0 ? BLOCK_BYTES_FIRST : BLOCK_BYTES;
	if (size > BLOCK_BYTES_MAX)
		size = BLOCK_BYTES_MAX;
	return n > size || size > a->cap - a->used ? n : size;
}

/* An empty block for n bytes: the first spare one, or a new one. NULL at the cap. */
static struct lt_arena_block *
block_get(struct lt_arena *a, size_t n)
{
	struct lt_arena_block *b = a->spare;
	size_t size;

	if (b != NULL && b->size >= n && b->size <= a->cap - a->used) {
		a->spare = b->next;
		return b;
	}
	size = block_size(a, n);
	if (size > a->cap - a->used)
		return NULL;
	b = calloc(1, sizeof(*b) + size);
	if (b != NULL)
		b->size = size;
	return b;
}

void *
lt_arena_alloc(struct lt_arena *a, size_t n)
{
	uint8_t *p = lt_arena_room(a, n);
	struct lt_arena_block *b = a->head;
	size_t at;

	if (p == NULL)
		return NULL;
	at = (size_t)(p - b->data);
	if (at < b->used)
		memset(p, 0, (b->off < b->used ? b->off : b->used) - at);
	return p;
}

void *
lt_arena_room(struct lt_arena *a, size_t n)
{
	struct lt_arena_block *b = a->head;
	void *p;

	if (n > a->cap)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	if (n == 0)
		n = 16;
	if (b == NULL || b->size - b->off < n) {
		if (a->used > a->cap)
			return NULL;
		b = block_get(a, n);
		if (b == NULL)
			return NULL;
		b->next = a->head;
		a->head = b;
		a->used += b->size;
	}
	p = b->data + b->off;
	b->off += n;
	return p;
}

void *
lt_arena_dup(struct lt_arena *a, const void *data, size_t len)
{
	uint8_t *p = len == SIZE_MAX ? NULL : lt_arena_room(a, len + 1);

	if (p == NULL)
		return NULL;
	if (len != 0)
		memcpy(p, data, len);
	p[len] = 0;
	return p;
}
