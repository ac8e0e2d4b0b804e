/* A worked example: one layer of LSTM, forward and backward, in plain C, to be judged by a case in layout torch.
 *
 *     gcc -O2 -std=c11 lstm.c -o lstm -lm && ./lstm lstm/plain.json answer.json
 *     numpy-lstm judge lstm/plain.json answer.json
 *
 * -DBUG=1 cell-carry-dropped, -DBUG=2 gate-order-of-gradient[figo], -DBUG=3 bias-gradient-doubled. */

#include <math.h>

#include "vectors.h"

#ifndef BUG
#define BUG 0
#endif

enum { I, F, G, O, GATES }; /* the order of the blocks in torch's weights */

static double sigmoid(double a) { return a >= 0 ? 1 / (1 + exp(-a)) : exp(a) / (1 + exp(a)); }

/* Derivatives from the pre-activation: s (1 - s) and 1 - t^2 would cancel where a gate is saturated. */
static double d_sigmoid(double a) {
    double e = exp(-fabs(a));
    return e / ((1 + e) * (1 + e));
}
static double d_tanh(double a) {
    double e = exp(-2 * fabs(a));
    return 4 * e / ((1 + e) * (1 + e));
}

int main(int argc, char **argv) {
    if (argc != 3) checked(NULL, "usage: lstm CASE.json ANSWER.json");
    const char *text = read_text(argv[1]);
    array x = need_array(text, "x"), h_0 = need_array(text, "h_0"), c_0 = need_array(text, "c_0");
    array W = need_array(text, "weight_ih_l0"), U = need_array(text, "weight_hh_l0"); /* (4H,D), (4H,H) */
    array b_ih = need_array(text, "bias_ih_l0"), b_hh = need_array(text, "bias_hh_l0");
    array d_output = need_array(text, "d_output"), d_h_n = need_array(text, "d_h_n"), d_c_n = need_array(text, "d_c_n");
    array lengths = read_array(text, "arrays", "lengths"); /* absent: every row has T steps */
    int T = x.shape[0], B = x.shape[1], D = x.shape[2], H = h_0.shape[1];
    if (U.shape[0] != GATES * H || U.shape[1] != H || W.shape[1] != D) checked(NULL, "this is for one plain layer");

    array output = new_array(3, (int[]){T, B, H}), h_n = new_array(2, h_0.shape), c_n = new_array(2, c_0.shape);
    array dx = new_array(3, x.shape), dh_0 = new_array(2, h_0.shape), dc_0 = new_array(2, c_0.shape);
    array dW = new_array(2, W.shape), dU = new_array(2, U.shape), db = new_array(1, b_ih.shape);
    /* What the backward pass needs of each step, and dL/da of each gate: [t][b][gate][unit]. c: [t + 1][b][unit]. */
    array pre = new_array(4, (int[]){T, B, GATES, H}), act = new_array(4, pre.shape), da = new_array(4, pre.shape);
    array c = new_array(3, (int[]){T + 1, B, H}), h = new_array(3, c.shape), dcs = new_array(3, output.shape);

    for (int row = 0; row < B; row++) {
        int steps = lengths.data ? (int)lengths.data[row] : T;
        memcpy(h.data + row * H, h_0.data + row * H, (size_t)H * sizeof(double));
        memcpy(c.data + row * H, c_0.data + row * H, (size_t)H * sizeof(double));

        for (int t = 0; t < steps; t++) { /* forward */
            const double *xt = x.data + (t * B + row) * D;
            const double *old_h = h.data + (t * B + row) * H, *old_c = c.data + (t * B + row) * H;
            double *a = pre.data + (t * B + row) * GATES * H, *v = act.data + (t * B + row) * GATES * H;
            for (int k = 0; k < GATES * H; k++) {
                a[k] = b_ih.data[k] + b_hh.data[k];
                for (int j = 0; j < D; j++) a[k] += W.data[k * D + j] * xt[j];
                for (int j = 0; j < H; j++) a[k] += U.data[k * H + j] * old_h[j];
                v[k] = k / H == G ? tanh(a[k]) : sigmoid(a[k]);
            }
            double *new_h = h.data + ((t + 1) * B + row) * H, *new_c = c.data + ((t + 1) * B + row) * H;
            for (int u = 0; u < H; u++) {
                new_c[u] = v[F * H + u] * old_c[u] + v[I * H + u] * v[G * H + u];
                new_h[u] = v[O * H + u] * tanh(new_c[u]);
                output.data[(t * B + row) * H + u] = new_h[u];
            }
        }
        memcpy(h_n.data + row * H, h.data + (steps * B + row) * H, (size_t)H * sizeof(double));
        memcpy(c_n.data + row * H, c.data + (steps * B + row) * H, (size_t)H * sizeof(double));

        double *dh = dh_0.data + row * H, *dc = dc_0.data + row * H; /* carried back until they reach the first state */
        memcpy(dh, d_h_n.data + row * H, (size_t)H * sizeof(double));
        memcpy(dc, d_c_n.data + row * H, (size_t)H * sizeof(double));

        for (int t = steps - 1; t >= 0; t--) { /* backward */
            const double *xt = x.data + (t * B + row) * D;
            const double *old_h = h.data + (t * B + row) * H, *old_c = c.data + (t * B + row) * H;
            const double *new_c = c.data + ((t + 1) * B + row) * H;
            const double *a = pre.data + (t * B + row) * GATES * H, *v = act.data + (t * B + row) * GATES * H;
            double *d = da.data + (t * B + row) * GATES * H, *dxt = dx.data + (t * B + row) * D;
            for (int u = 0; u < H; u++) {
                double dh_t = dh[u] + d_output.data[(t * B + row) * H + u];
                double dc_t = dc[u] + dh_t * v[O * H + u] * d_tanh(new_c[u]);
                d[I * H + u] = dc_t * v[G * H + u] * d_sigmoid(a[I * H + u]);
                d[F * H + u] = dc_t * old_c[u] * d_sigmoid(a[F * H + u]);
                d[G * H + u] = dc_t * v[I * H + u] * d_tanh(a[G * H + u]);
                d[O * H + u] = dh_t * tanh(new_c[u]) * d_sigmoid(a[O * H + u]);
                dcs.data[(t * B + row) * H + u] = dc_t;
                dc[u] = BUG == 1 ? 0 : dc_t * v[F * H + u];
                dh[u] = 0;
            }
            for (int k = 0; k < GATES * H; k++) {
                int block = BUG == 2 && k / H <= F ? (k + H) % (2 * H) : k; /* where the gradient of this gate is put */
                for (int j = 0; j < D; j++) dxt[j] += d[k] * W.data[k * D + j];
                for (int j = 0; j < H; j++) dh[j] += d[k] * U.data[k * H + j];
                for (int j = 0; j < D; j++) dW.data[block * D + j] += d[k] * xt[j];
                for (int j = 0; j < H; j++) dU.data[block * H + j] += d[k] * old_h[j];
                db.data[block] += BUG == 3 ? 2 * d[k] : d[k];
            }
        }
    }

    FILE *file = checked(fopen(argv[2], "w"), "cannot write the answer");
    begin_answer(file);
    write_array(file, "output", output);
    write_array(file, "h_n", h_n);
    write_array(file, "c_n", c_n);
    write_array(file, "d_x", dx);
    write_array(file, "d_h_0", dh_0);
    write_array(file, "d_c_0", dc_0);
    write_array(file, "d_weight_ih_l0", dW);
    write_array(file, "d_weight_hh_l0", dU);
    write_array(file, "d_bias_ih_l0", db);
    write_array(file, "d_bias_hh_l0", db); /* two biases that are added: each has the whole gradient */
    if (read_array(text, "expected", "cotangents.c").data) { /* what the judge needs to say which step is wrong */
        const char *names[] = {"cotangents.a_i", "cotangents.a_f", "cotangents.a_g", "cotangents.a_o"};
        write_array(file, "cotangents.c", dcs);
        for (int gate = 0; gate < GATES; gate++) {
            array one = new_array(3, output.shape);
            for (int k = 0; k < one.size; k++) one.data[k] = da.data[(k / H * GATES + gate) * H + k % H];
            write_array(file, names[gate], one);
        }
    }
    end_answer(file);
    return fclose(file) ? 3 : 0;
}
