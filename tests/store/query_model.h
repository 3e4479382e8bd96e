/* tests/store/query_model.h - a collection with a field of every type, its records in a form of our own and the same in a
 * store, and whoever asks. */
#ifndef LT_TESTS_STORE_QUERY_MODEL_H
#define LT_TESTS_STORE_QUERY_MODEL_H

#include "proto/store/query.h"
#include "world.h"

#define UNITS 4
#define RECORDS 220

extern const char *const unit_code[UNITS];
/* The catalogue in use, made and given up by the group's fixtures. */
extern struct lt_catalogue *cat;
int query_load(void **state);
int query_unload(void **state);

enum kind { TEXT, ENUM, BYTES, INT, DECIMAL, DATE, TIME, BOOL, SET };
enum { CODE, NO, UNIT, T, N, M, S, D, W, O, Y, E, X, P, Q, KEY, UNIT2, FIELDS };

struct model_field {
	const char *name;
	enum kind kind;
	bool personal;
};
extern const struct model_field field[FIELDS];
/* Codes that sets are made of, sorted. */
extern const char *const codes[4];

/* Numbers: decimals in hundredths. Sets: bit i for codes[i]. */
struct mvalue {
	bool has;
	int64_t n;
	size_t len;
	char text[160];
};

struct mrecord {
	bool alive;
	size_t unit;
	char key[64];
	struct mvalue v[FIELDS];
};

struct model {
	size_t n;
	struct mrecord r[RECORDS];
};

/* What the store holds after model_fill(). */
extern struct model model;

/* Random numbers of the seed given to model_fill(). */
size_t model_below(size_t n);
void model_text(struct mvalue *v, const char *s);
void model_value(size_t f, struct mvalue *v);
/* In the arena. */
Ltpb__Value *model_to_value(struct lt_arena *a, size_t f, const struct mvalue *v);
Ltpb__FieldSet *model_to_field(struct lt_arena *a, size_t f, const struct mvalue *v);
/* One change, sealed, stored and projected. */
void model_project(struct lt_kv_txn *txn, struct feed *f, const struct lt_draft *d);
/* n records and three times as many changes of them. */
void model_fill(struct env *e, uint64_t seed, size_t n);

/* What the asker may not see; all zero: everything is in sight. */
struct eyes {
	bool no_unit[UNITS];
	bool no_field[UNITS][FIELDS];
	bool nothing;
};

struct asking {
	struct eyes eyes;
	struct lt_sight sight;
	struct lt_query q;
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct lt_err err;
};

/* A read transaction, and a query that looks through a->eyes. */
void ask_begin(struct asking *a, struct env *e);
void ask_end(struct asking *a);
/* Fresh memory for the next question. */
void ask_again(struct asking *a);

#endif
