/* Flat 32-bit, with the empty interrupt table of the test: an undefined instruction ends all. */
.code32
  ud2
