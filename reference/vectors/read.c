/* Print numbers of a case as the 64 bits of a double:
 *
 *     gcc -std=c11 read.c -o read && ./read CASE.json arrays x expected d_x
 *
 * One line for each array: its section, its name, the bits in hexadecimal. */

#include <inttypes.h>

#include "vectors.h"

int main(int argc, char **argv) {
    if (argc < 2) checked(NULL, "usage: read CASE.json [SECTION NAME]...");
    const char *text = read_text(argv[1]);
    for (int k = 2; k + 1 < argc; k += 2) {
        array a = read_array(text, argv[k], argv[k + 1]);
        checked(a.data, argv[k + 1]);
        printf("%s %s", argv[k], argv[k + 1]);
        for (int n = 0; n < a.size; n++) {
            uint64_t bits;
            memcpy(&bits, &a.data[n], sizeof bits);
            printf(" %016" PRIx64, bits);
        }
        putchar('\n');
    }
    return 0;
}
