// stb_image's own code, built once and without this project's warnings.
#define STB_IMAGE_IMPLEMENTATION
#include "image/stb.h"
