/* What the parts of the self-test share. */
#ifndef FITCHECK_SELFTEST_H
#define FITCHECK_SELFTEST_H

/* Count a check; say what failed. */
void expect(int ok, const char *what, const char *isa, const char *format, long rows, long cols);

/* Decode steps on several threads, which must equal those on one. */
void check_decoder(void);

#endif
