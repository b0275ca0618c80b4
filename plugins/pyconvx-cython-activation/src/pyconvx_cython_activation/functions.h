/* squareplus, in the form that pyconvx calls. */
#ifndef SQUAREPLUS_FUNCTIONS_H
#define SQUAREPLUS_FUNCTIONS_H

#include <pyconvx/activation.h>

extern const pyconvx_activation SQUAREPLUS;

#endif
