/* Every number that was chosen by measurement, in one table; tuning.pxd hands it to Cython.
 *
 * Measured on: one and two cores of an AMD Zen 4 (AVX-512, 32 KB of L1, 1 MB of L2 a core), float32, unless a line
 * says otherwise; docs/evidence/performance-notes.md has the figures. "Not recorded" means that the value works well
 * there and that its alternatives were not written down.
 *
 * BITS marks a number that decides in which order a sum is added: to change it changes results in their last bits.
 * All the others move work between loops, caches and threads, and no bit. Sizes are in the unit that ends the name.
 */
#ifndef PYCONVX_TUNING_H
#define PYCONVX_TUNING_H

#include <stddef.h>

#define KB(n) ((ptrdiff_t)(n) * 1024)

/* ------------------------------------------------------------------------------------------- all sums over samples */

/* BITS. Blocks of consecutive samples (or numbers) that a sum is cut into, each summed on its own and then added in
   order. More would let more threads share a small sum, and cost more memory and additions. Not recorded. */
#define SUM_BLOCKS 16

/* ------------------------------------------------------------------------------------ the register tile, tile/ */

/* Widest tile, in vectors of output channels. */
#define TILE_MAX_VECTORS 4

/* Tallest tile, in rows, for 1, 2, 3, 4 vectors across: what the registers hold. One accumulator more and the
   compiler spills; measured per level. */
#if defined(__AVX512F__)
#define TILE_TALLEST {0, 16, 14, 8, 6}
#elif defined(__AVX__)
#define TILE_TALLEST {0, 8, 6, 4, 3}
#else
#define TILE_TALLEST {0, 8, 4, 4, 3}
#endif

/* Vectors across a panel of channels: on maps at most TILE_NARROW_MAP_PIXELS wide, or with 32-byte vectors (AVX2),
   a tall narrow tile keeps more sums under way than a low wide one. Measured with AVX-512 and AVX2. */
#define TILE_WIDE_VECTORS 4
#define TILE_NARROW_VECTORS 2
#define TILE_NARROW_MAP_PIXELS 8

/* Windows of a 2 x 2 pool, of four cells each, by vectors of channels, that a pooled tile holds in registers:
   24 sums of 32 registers with AVX-512, 12 of 16 without. 7.9 to 5.1 us an image against a pool that reads a band. */
#define POOL_TILE_WINDOWS 3
#if defined(__AVX512F__)
#define POOL_TILE_VECTORS 2
#else
#define POOL_TILE_VECTORS 1
#endif

/* Pixels of a depthwise convolution that share a load of the kernel; and of a row of taps one pixel apart, which
   share what they read too. Bounded by the registers. */
#define DEPTHWISE_PIXELS 4
#define DEPTHWISE_RUN_PIXELS 8

/* ------------------------------------------------------------------------------- direct convolution, convolution/ */

/* A packed panel of the kernel in use at a time: a quarter of the L2. Not recorded. */
#define CONV_SLAB_BYTES KB(256)

/* Input and output that a unit of work covers. Not recorded. */
#define CONV_BAND_BYTES KB(128)

/* Output pixels of a batch below which the kernel is read as it lies: packing it would cost what it saves. One image
   of a 32 -> 64 layer with stride 2 on 16x16, two threads: 20 to 13 us. */
#define CONV_FEW_PIXELS 2048

/* Samples of a unit of work on maps of at most so many pixels: cells in corners, and all cells of tiny maps, run
   across samples. 64 -> 64 on 4x4, batch 64: 1,087 to 507 us a call; 16 samples were no better than 8 on 8x8. */
#define CONV_TINY_MAP_PIXELS 64
#define CONV_TINY_MAP_SAMPLES 8
#define CONV_SMALL_MAP_PIXELS 256
#define CONV_SMALL_MAP_SAMPLES 4

/* Units of samples that each thread gets at least, if the batch has as many. Not recorded. */
#define CONV_UNITS_PER_THREAD 4

/* The map in front of a fused pool that is computed before it is pooled: an L1. */
#define POOLED_FORWARD_BAND_BYTES KB(32)

/* ---------------------------------------------------------- gradient of the kernel, direct: conv_gradient.pyx */

/* BITS. Up to this size dw is summed in SUM_BLOCKS blocks of samples, above in tiles that walk all samples. */
#define GRADIENT_SMALL_BYTES KB(256)

/* BITS. Input channels below which windows are gathered first: rows of a tap would be too short. Not recorded. */
#define GRADIENT_FEW_CHANNELS 8

/* BITS. Input and output of the samples that a pass over the tiles of dw covers, at most so many of them; of a sample
   that is larger, rows of about GRADIENT_ROWS_BYTES. Not recorded. */
#define GRADIENT_PASS_BYTES KB(512)
#define GRADIENT_PASS_SAMPLES 8
#define GRADIENT_ROWS_BYTES KB(256)

/* BITS. Gathered windows in use. 8, 16 and 128 KB: 7.9 to 8.4 us an image for a first layer of 1 -> 32 channels,
   within the noise. */
#define GRADIENT_GATHER_BYTES KB(64)

/* BITS. With a fused pool: gathered windows and dy's map in use, most of an L1. */
#define POOLED_GRADIENT_BAND_BYTES KB(24)

/* BITS. Pixels of a depthwise convolution that every tap meets in turn: they stay in L1. Not recorded. */
#define GRADIENT_DEPTHWISE_PIXELS 8

/* ----------------------------------------------------- gradient of images with few channels: convolution/scatter.pxd */

/* BITS. Pixels of the image of fewer bytes are scattered, if dy has at least SCATTER_LEAST_OUTPUTS channels: they would
   fill few lanes. Not recorded. */
#define SCATTER_FEW_BYTES 32
#define SCATTER_LEAST_OUTPUTS 4

/* BITS. Products in use: a part of an L2; of at least so many pixels. Not recorded. */
#define SCATTER_PRODUCT_BYTES KB(48)
#define SCATTER_LEAST_PIXELS 16

/* ------------------------------------------------------------------------------------------------ winograd/ */

/* Transformed input and output that a thread works on at a time. 24 to 192 KB: within the noise. With a transformed
   kernel that is larger, half of that kernel: 256 -> 256 on 8x8, two threads, forward 260 to 187 us. */
#define WINOGRAD_THREAD_BYTES KB(384)

/* Tiles that a thread works on at a time at least: whole register tiles. */
#define WINOGRAD_FEWEST_TILES 24

/* Transformed kernel that threads share for dx; a larger one is cut by input channels. 256 -> 256 on 14x14, two
   threads: 1,650 to 1,250 us by channels; 128 -> 128: 460 to 370 us by samples. */
#define WINOGRAD_SHARED_KERNEL_BYTES KB(1024)

/* BITS. Up to this size dw is summed in blocks of samples, at least so many tiles in a block: fewer would not pay for
   a sum of their own. Not recorded. */
#define WINOGRAD_SMALL_GRADIENT_BYTES KB(256)
#define WINOGRAD_BLOCK_TILES 32

/* ------------------------------------------------------------------------------------------------ dense.pyx */

/* A panel of the right matrix in use at a time: an L1. Not recorded. */
#define DENSE_SLAB_BYTES KB(32)

/* Rows of a unit of work: whole tiles for every height. */
#define DENSE_UNIT_ROWS 24

/* Samples that a pass of dw covers. Not recorded. */
#define DENSE_PASS_SAMPLES 256

/* ---------------------------------------------------------------- activations, softmax, norms: elementwise/ */

/* Numbers that a call of an activation covers: three arrays of them fit L1 or L2. Not recorded. */
#define ACTIVATION_CHUNK 4096

/* Numbers below which a second thread costs more than it saves. Not recorded. */
#define ELEMENTWISE_ONE_THREAD 16384

/* BITS. Numbers of a row of sums of a batch norm, whole rows of channels: they stay in L1. Not recorded. */
#define NORM_WIDTH 256

/* Numbers between two calls of the activation after a batch norm. Not recorded. */
#define NORM_CHUNK 4096

/* --------------------------------------------------------------------------- losses.pyx, solver_steps.pyx */

/* BITS. Partial sums within a row of the loss; and within a block of a long array: enough to hide the latency of an
   addition. Not recorded. */
#define ROW_LANES 16
#define LONG_SUM_LANES 64

#endif
