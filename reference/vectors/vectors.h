/* Read a case in JSON as numpy-lstm writes it (one array a line; see FORMAT.md), and write an answer. Plain C11.
 * No general reader of JSON: names are looked for in the text, numbers are left to strtod, which reads every bit. */

#ifndef VECTORS_H
#define VECTORS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int rank, shape[4], size;
    double *data; /* row by row; NULL where there is no such array */
} array;

static void *checked(void *pointer, const char *what) {
    if (!pointer) {
        fprintf(stderr, "error: %s\n", what);
        exit(3);
    }
    return pointer;
}

/* The whole text of a file. */
static char *read_text(const char *path) {
    FILE *file = checked(fopen(path, "rb"), "cannot open the case");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = checked(calloc((size_t)size + 1, 1), "no memory");
    if (fread(text, 1, (size_t)size, file) != (size_t)size) checked(NULL, "cannot read the case");
    fclose(file);
    return text;
}

/* The array `name` of a section, "arrays" or "expected". */
static array read_array(const char *text, const char *section, const char *name) {
    array a = {0};
    char key[128];
    snprintf(key, sizeof key, "\"%s\": {\n", section);
    const char *at = checked(strstr(text, key), "the case lacks a section");
    const char *end = strstr(at, "\n }");
    snprintf(key, sizeof key, "\n  \"%s\": {\"shape\": [", name);
    at = strstr(at, key);
    if (!at || !end || at > end) return a;

    char *next = (char *)at + strlen(key);
    for (a.size = 1; *next != ']'; next += strspn(next, ", ")) {
        if (a.rank == 4) checked(NULL, "an array has more than four axes");
        a.shape[a.rank] = (int)strtol(next, &next, 10);
        a.size *= a.shape[a.rank++];
    }
    next = (char *)checked(strchr(next, '['), "an array lacks data") + 1;
    a.data = checked(malloc((size_t)a.size * sizeof *a.data), "no memory");
    for (int k = 0; k < a.size; k++) {
        a.data[k] = strtod(next, &next);
        next += strspn(next, ", ");
    }
    if (*next != ']') checked(NULL, "an array has more numbers than its shape");
    return a;
}

/* The same, where the array must be there. */
static array need_array(const char *text, const char *name) {
    array a = read_array(text, "arrays", name);
    checked(a.data, name);
    return a;
}

static array new_array(int rank, const int *shape) {
    array a = {.rank = rank, .size = 1};
    for (int k = 0; k < rank; k++) a.size *= a.shape[k] = shape[k];
    a.data = checked(calloc((size_t)a.size, sizeof *a.data), "no memory");
    return a;
}

/* An answer: begin, any number of arrays, end. 17 digits are enough for every bit of a double. */
static void begin_answer(FILE *file) {
    fprintf(file, "{\"schema\": \"numpy-lstm/answer/1\", \"dtype\": \"float64\", \"arrays\": {");
}

static void write_array(FILE *file, const char *name, array a) {
    static int count = 0;
    fprintf(file, "%s\n  \"%s\": {\"shape\": [", count++ ? "," : "", name);
    for (int k = 0; k < a.rank; k++) fprintf(file, k ? ", %d" : "%d", a.shape[k]);
    fprintf(file, "], \"data\": [");
    for (int k = 0; k < a.size; k++) fprintf(file, k ? ", %.17g" : "%.17g", a.data[k]);
    fprintf(file, "]}");
}

static void end_answer(FILE *file) { fprintf(file, "\n}}\n"); }

#endif
