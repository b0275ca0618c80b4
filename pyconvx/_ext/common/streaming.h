/* For modules whose loops stream through long arrays: include it before everything else.

   Arrays lie anywhere in memory, and 64-byte vectors that straddle cache lines make such loops three times as slow;
   32-byte vectors cost nothing if all is aligned. */
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("prefer-vector-width=256")
#endif
