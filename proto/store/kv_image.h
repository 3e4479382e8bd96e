/* proto/store/kv_image.h - what a store in memory holds as committed, apart from the program that has it open: the disk of a
 * machine that crashes, or an old copy of that disk. For tests and the simulator.
 *
 * It shares its bytes with the store it was taken of and with every store opened over it: to take one costs nothing, to
 * keep one costs what was written since. Any thread.
 */
#ifndef LT_STORE_KV_IMAGE_H
#define LT_STORE_KV_IMAGE_H

#include "proto/store/kv.h"

struct lt_kv_image;

/* As of the last commit; a write transaction under way is not in it. kv was opened in memory. */
int lt_kv_image_take(struct lt_kv *kv, struct lt_kv_image **out);
void lt_kv_image_free(struct lt_kv_image *img); /* NULL allowed */
/* A store in memory that begins as the image, incarnation and all; the image stays as it is. LT_E_VERSION: of another kind,
 * federation or number of tables. */
int lt_kv_open_image(const struct lt_kv_options *o, const struct lt_kv_image *img,
    struct lt_kv **out, struct lt_err *err);

#endif
