/* proto/base/arena.h - a bump arena with a hard cap, for unpacking messages from outside.
 *
 * protobuf-c allocates what a message announces; the arena makes hostile input fail instead of
 * eating memory. Not thread safe. Memory lives until lt_arena_fini().
 */
#ifndef LT_BASE_ARENA_H
#define LT_BASE_ARENA_H

#include <stddef.h>
#include <protobuf-c/protobuf-c.h>

struct lt_arena_block;

struct lt_arena {
	struct lt_arena_block *head; /* owned chain */
	struct lt_arena_block *spare; /* empty ones, kept by lt_arena_recycle() */
	size_t used; /* bytes of all blocks but the spare ones */
	size_t cap;
	ProtobufCAllocator pb; /* hand this to *_unpack() */
};

/* Cap for unpacking a message of len bytes: 512 KiB + 32 * len, at most 32 MiB. A well-formed change-set of short
 * names and numbers takes 26 times its bytes, and 1,024 changes of ten bytes each take 400 KiB; a cap below
 * that would refuse honest messages. Memory is taken as it is used, not at once. */
size_t lt_arena_cap_for(size_t len);
void lt_arena_init(struct lt_arena *a, size_t cap);
void lt_arena_fini(struct lt_arena *a);
/* As after init, with the same cap; keeps at most 1 MiB for what comes next. All that was handed out is gone. */
void lt_arena_clear(struct lt_arena *a);
/* The same, keeping about `keep` bytes for what comes next: for who fills an arena again and again. */
void lt_arena_recycle(struct lt_arena *a, size_t keep);
/* 16-byte aligned, zeroed; NULL at the cap. */
void *lt_arena_alloc(struct lt_arena *a, size_t n);
/* The same, not zeroed: for what is written at once. */
void *lt_arena_room(struct lt_arena *a, size_t n);
/* Copy with a NUL after it; NULL at the cap. */
void *lt_arena_dup(struct lt_arena *a, const void *data, size_t len);

#endif
