// The recurrences of LSTM, GRU and RNN, forward and back. Derivation, layout and reasons: cuda.md beside this file.
//
// ahead, back       the steps of a block of time in one launch; C thread blocks share a group of batch rows
// ahead_one, back_one   the element-wise part of a single step, between two products of the BLAS
//
// Compiled by NVRTC or nvcc, with -DCLUSTER=C where the thread blocks of a group are one cluster (sm_90 and later).
// Without it C > 1 needs a cooperative launch. The tests compile it as C++ too (EMULATED).

#ifndef EMULATED
#define SHARED extern __shared__ __align__(16) unsigned char raw[]
#define SPIN()
#define CLUSTER_COME() asm volatile("barrier.cluster.arrive.release;" ::: "memory")
#define CLUSTER_WAIT() asm volatile("barrier.cluster.wait.acquire;" ::: "memory")
#define READ(p) __ldcg(p)
#define READ_PACK(p) __ldcg((const int4*)(p))
typedef int4 Sixteen;
#endif
#ifdef CLUSTER
#define LAUNCH __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(256)
#else
#define LAUNCH __launch_bounds__(256)
#endif

template <typename T> struct alignas(16) Pack {  // what one instruction loads
    enum { N = 16 / sizeof(T) };
    T v[16 / sizeof(T)];
};

// s, 1 - s and s' of the logistic function, tanh and tanh', from the pre-activation: no cancellation for either sign.
template <typename T> __device__ __forceinline__ void logistic(T a, T& s, T& q, T& d) {
    T e = exp(-fabs(a)), r = T(1) / (T(1) + e);
    s = a >= 0 ? r : e * r;
    q = a >= 0 ? e * r : r;
    d = e * r * r;
}
template <typename T> __device__ __forceinline__ void hyperbolic(T a, T& t, T& d) {
    T e = exp(T(-2) * fabs(a)), r = T(1) / (T(1) + e);
    t = tanh(a);
    d = T(4) * e * r * r;
}

// A cell: G gates meet h, X meet x, cotangents stand in D columns of H, those from U0 on meet U; P local factors.
template <typename T> struct Lstm {  // i f g o
    enum { G = 4, X = 4, D = 4, U0 = 0, P = 6, Cell = 1 };
    static __device__ __forceinline__ void ahead(const T* x, const T* a, const T* b, T& h, T& c, T* p) {
        T i, di, f, df, g, dg, o, d_o, y, dy, q, old = c;
        logistic((x[0] + a[0]) + b[0], i, q, di);  // (L1) (L5)
        logistic((x[1] + a[1]) + b[1], f, q, df);  // (L2) (L6)
        hyperbolic((x[2] + a[2]) + b[2], g, dg);  // (L3) (L7)
        logistic((x[3] + a[3]) + b[3], o, q, d_o);  // (L4) (L8)
        c = f * old + i * g;  // (L9)
        hyperbolic(c, y, dy);  // (L10)
        h = o * y;  // (L11)
        p[0] = g * di; p[1] = old * df; p[2] = i * dg; p[3] = y * d_o; p[4] = f; p[5] = o * dy;
    }
    static __device__ __forceinline__ void back(const T* p, T dh, T given, T& carry_h, T& carry_c, T* d) {
        T dc = carry_c + given + dh * p[5];  // (L11') (L10')
        d[0] = dc * p[0]; d[1] = dc * p[1]; d[2] = dc * p[2];  // (L9') (L7') (L6') (L5')
        d[3] = dh * p[3];  // (L11') (L8')
        carry_c = dc * p[4];  // (L9')
        carry_h = 0;
    }
};
template <typename T> struct Gru {  // x: n r z, b: n r z hn, U: r z n, cotangents: n r z u
    enum { G = 3, X = 3, D = 4, U0 = 1, P = 5, Cell = 0 };
    static __device__ __forceinline__ void ahead(const T* x, const T* a, const T* b, T& h, T&, T* p) {
        T r, dr, z, dz, n, dn, q, old = h, u = a[2] + b[3];  // (G3)
        logistic((x[1] + a[0]) + b[1], r, q, dr);  // (G1) (G4)
        logistic((x[2] + a[1]) + b[2], z, q, dz);  // (G2) (G5) (G8)
        hyperbolic((x[0] + b[0]) + r * u, n, dn);  // (G6) (G7)
        h = q * n + z * old;  // (G9)
        p[0] = q * dn; p[1] = p[0] * u * dr; p[2] = (old - n) * dz; p[3] = p[0] * r; p[4] = z;
    }
    static __device__ __forceinline__ void back(const T* p, T dh, T, T& carry_h, T&, T* d) {
        d[0] = dh * p[0]; d[1] = dh * p[1]; d[2] = dh * p[2]; d[3] = dh * p[3];  // (G9')-(G4')
        carry_h = dh * p[4];  // (G9')
    }
};
template <typename T> struct Rnn {
    enum { G = 1, X = 1, D = 1, U0 = 0, P = 1, Cell = 0 };
    static __device__ __forceinline__ void ahead(const T* x, const T* a, const T* b, T& h, T&, T* p) {
        hyperbolic((x[0] + a[0]) + b[0], h, p[0]);  // (R1) (R2)
    }
    static __device__ __forceinline__ void back(const T* p, T dh, T, T& carry_h, T&, T* d) {
        d[0] = dh * p[0];  // (R2')
        carry_h = 0;
    }
};

// What every kernel is told: steps n, rows B, units H; C thread blocks in a group with R rows, nj units in each; columns
// of h in shared memory at a time; into how many parts the inner sums of the products are cut, ahead and back.
#define SIZES int n, int B, int H, int C, int R, int nj, int chunk, int splits_ahead, int splits_back

__device__ __forceinline__ int up(int n, int unit) { return (n + unit - 1) / unit * unit; }

// All thread blocks of the group wait for one another, in two halves: what each wrote before it came, the others read with
// READ after they waited. Between the halves it may write what nobody waits for.
__device__ __forceinline__ void come(unsigned* counter, unsigned blocks, unsigned& target) {
#if defined(CLUSTER)
    (void)counter, (void)blocks, (void)target;
    CLUSTER_COME();
#else
    __syncthreads();
    if (blocks > 1 && threadIdx.x == 0) {
        target += blocks;
        __threadfence();
        atomicAdd(counter, 1u);
    }
#endif
}
__device__ __forceinline__ void wait(unsigned* counter, unsigned blocks, unsigned target) {
#if defined(CLUSTER)
    (void)counter, (void)blocks, (void)target;
    CLUSTER_WAIT();
#else
    if (blocks > 1) {
        if (threadIdx.x == 0) {
            while (*(volatile unsigned*)counter < target) SPIN();
            __threadfence();
        }
        __syncthreads();
    }
#endif
}

// acc += a[rows][k] m[k][columns] over k of [k0, k1): RT rows from ``a`` on, NP packs of columns ``step`` packs apart.
template <typename T, int RT, int NP>
__device__ __forceinline__ void multiply(
    Pack<T> (&acc)[RT][NP], const T* a, int lda, const T* m, int ldm, int step, int packs, int k0, int k1) {
    enum { V = Pack<T>::N };
    #pragma unroll 4
    for (int k = k0; k < k1; k += V) {
        Pack<T> left[RT];
        #pragma unroll
        for (int r = 0; r < RT; r++) left[r] = *(const Pack<T>*)(a + r * lda + k);
        #pragma unroll
        for (int v = 0; v < V; v++) {
            #pragma unroll
            for (int p = 0; p < NP; p++) {
                if (p == 0 || p * step < packs) {
                    Pack<T> right = *(const Pack<T>*)(m + (k + v) * ldm + p * step * V);
                    #pragma unroll
                    for (int r = 0; r < RT; r++)
                        #pragma unroll
                        for (int w = 0; w < V; w++) acc[r][p].v[w] += left[r].v[v] * right.v[w];
                }
            }
        }
    }
}

template <template <typename> class Cell, typename T, int RT>
__global__ void LAUNCH ahead(
    const T* U, const T* b, const T* Zx, const int* lengths, const T* h_in, const T* c_in, T* tape, T* hs, T* P, T* h_out,
    T* c_out, unsigned* counters, SIZES) {
    typedef Cell<T> K;
    enum { V = Pack<T>::N, NP = 4 / V };
    SHARED;
    const int N = K::G * nj, packs = up(N, V) / V, ldm = up(N, V) + V, depth = up(H, V);
    const int lda = chunk + V, tn = up(packs, NP) / NP, tr = up(R, RT) / RT, tasks = tn * tr;
    T* m = (T*)raw;  // [depth][ldm], U of the units of this thread block, gate by gate, transposed
    T* a = m + (size_t)depth * ldm;  // [tr RT][lda], a chunk of h of the rows of the group
    T* red = a + (size_t)tr * RT * lda;  // [splits][tr RT][ldm]
    const int u = blockIdx.x % C, group = blockIdx.x / C, j0 = u * nj, b0 = group * R;
    const int mine = max(0, min(nj, H - j0)), rows = min(R, B - b0), tid = threadIdx.x;
    unsigned target = 0;
    const size_t step = (size_t)B * H;

    for (int k = tid; k < depth * ldm; k += blockDim.x) m[k] = 0;
    for (int k = tid; k < tr * RT * lda; k += blockDim.x) a[k] = 0;
    __syncthreads();
    for (int q = tid; q < K::G * mine * H; q += blockDim.x) {
        int row = q / H, k = q - row * H, g = row / mine, j = row - g * mine;
        m[k * ldm + g * nj + j] = U[(size_t)(g * H + j0 + j) * H + k];
    }
    const int r = tid / nj, j = tid - r * nj;
    const bool own = r < rows && j < mine;  // this thread's row and unit
    const size_t at = own ? (size_t)(b0 + r) * H + j0 + j : 0;
    T bias[K::D], h = 0, c = 0;
    int alive = n;
    if (own) {
        for (int g = 0; g < K::D; g++) bias[g] = b[g * H + j0 + j];
        h = h_in[at];
        if (K::Cell) c = c_in[at];
        if (lengths) alive = lengths[b0 + r];
        tape[at] = h;
        if (C == 1) a[r * lda + j] = h;
    }
    const int split = tid / tasks, task = tid - split * tasks, row0 = task / tn * RT, pack0 = task % tn;
    const bool works = split < splits_ahead;
    come(counters + group, C, target);
    wait(counters + group, C, target);

    for (int t = 0; t < n; t++) {
        T x[K::X];
        if (own)
            for (int g = 0; g < K::X; g++) x[g] = Zx[((size_t)t * B + b0 + r) * K::X * H + g * H + j0 + j];
        Pack<T> acc[RT][NP];
        #pragma unroll
        for (int q = 0; q < RT; q++)
            #pragma unroll
            for (int p = 0; p < NP; p++)
                #pragma unroll
                for (int w = 0; w < V; w++) acc[q][p].v[w] = 0;
        const T* before = tape + t * step + (size_t)b0 * H;
        for (int c0 = 0; c0 < depth; c0 += chunk) {
            const int wide = min(chunk, depth - c0);
            if (c0) __syncthreads();
            if (C == 1) {  // all of h is here already
            } else if (H % V == 0) {
                const int per = wide / V;
                #pragma unroll 8
                for (int q = tid; q < rows * per; q += blockDim.x) {
                    int i = q / per, k = (q - i * per) * V;
                    *(Sixteen*)(a + i * lda + k) = READ_PACK(before + (size_t)i * H + c0 + k);
                }
            } else {
                #pragma unroll 4
                for (int q = tid; q < rows * wide; q += blockDim.x) {
                    int i = q / wide, k = q - i * wide;
                    a[i * lda + k] = c0 + k < H ? READ(before + (size_t)i * H + c0 + k) : T(0);
                }
            }
            __syncthreads();
            if (works) {
                const int part = up(up(wide, splits_ahead) / splits_ahead, V), k0 = split * part;
                multiply<T, RT, NP>(acc, a + row0 * lda, lda, m + (size_t)c0 * ldm + pack0 * V, ldm, tn,
                                    packs - pack0, k0, min(k0 + part, wide));
            }
        }
        if (works)
            #pragma unroll
            for (int q = 0; q < RT; q++)
                #pragma unroll
                for (int p = 0; p < NP; p++)
                    if (pack0 + p * tn < packs)
                        *(Pack<T>*)(red + ((size_t)split * tr * RT + row0 + q) * ldm + (pack0 + p * tn) * V) = acc[q][p];
        __syncthreads();
        const bool live = t < alive;
        T out = 0, p[K::P];
        if (own && live) {  // a row that has ended keeps its state; nobody reads its h any more, and hs is 0
            T s[K::G];
            for (int g = 0; g < K::G; g++) s[g] = 0;
            for (int k = 0; k < splits_ahead; k++)
                for (int g = 0; g < K::G; g++) s[g] += red[((size_t)k * tr * RT + r) * ldm + g * nj + j];
            K::ahead(x, s, bias, h, c, p);
            out = h;
        }
        if (own) {
            tape[(t + 1) * step + at] = out;
            if (C == 1) a[r * lda + j] = out;
        }
        come(counters + group, C, target);
        if (own) {
            hs[t * step + at] = out;
            for (int k = 0; k < K::P; k++) P[((size_t)t * K::P + k) * step + at] = live ? p[k] : T(0);
        }
        wait(counters + group, C, target);
    }
    if (own) {
        h_out[at] = h;
        if (K::Cell) c_out[at] = c;
    }
}

// Absent cotangents are null pointers and count as zero.
template <template <typename> class Cell, typename T, int RT>
__global__ void LAUNCH back(
    const T* U, const T* P, const T* dhs, const T* dcs, const int* lengths, const T* dh_in, const T* dc_in, T* D, T* dh_out,
    T* dc_out, T* parts, unsigned* counters, SIZES) {
    typedef Cell<T> K;
    enum { V = Pack<T>::N, NP = 4 / V };
    SHARED;
    const int packs = up(H, V) / V, ldm = up(H, V), N = K::G * nj, depth = up(N, V);
    const int lda = depth + V, tn = up(packs, NP) / NP, tr = up(R, RT) / RT, tasks = tn * tr, S = splits_back;
    T* m = (T*)raw;  // [depth][ldm], U of the units of this thread block, gate by gate
    T* a = m + (size_t)depth * ldm;  // [tr RT][lda], their cotangents
    T* red = a + (size_t)tr * RT * lda;  // [S][tr RT][ldm], if S > 1 or C == 1
    const int u = blockIdx.x % C, group = blockIdx.x / C, j0 = u * nj, b0 = group * R;
    const int mine = max(0, min(nj, H - j0)), rows = min(R, B - b0), tid = threadIdx.x;
    const int groups = gridDim.x / C;
    unsigned target = 0;
    const size_t step = (size_t)B * H;

    for (int k = tid; k < depth * ldm; k += blockDim.x) m[k] = 0;
    for (int k = tid; k < tr * RT * lda; k += blockDim.x) a[k] = 0;
    __syncthreads();
    for (int q = tid; q < K::G * mine * H; q += blockDim.x) {
        int row = q / H, k = q - row * H, g = row / mine, j = row - g * mine;
        m[(g * nj + j) * ldm + k] = U[(size_t)(g * H + j0 + j) * H + k];
    }
    const int r = tid / nj, j = tid - r * nj;
    const bool own = r < rows && j < mine;
    const size_t at = own ? (size_t)(b0 + r) * H + j0 + j : 0;
    T dh = 0, dc = 0, p[K::P], more = 0, more_c = 0;
    int alive = n;
    if (own) {
        if (dh_in) dh = dh_in[at];
        if (K::Cell && dc_in) dc = dc_in[at];
        if (lengths) alive = lengths[b0 + r];
    }
    for (int t = n - 1;; t--) {
        if (own && t >= 0) {  // what this step needs was asked for while the step after was multiplied
            for (int k = 0; k < K::P; k++) p[k] = P[((size_t)t * K::P + k) * step + at];
            if (dhs) more = dhs[t * step + at];
            if (K::Cell && dcs) more_c = dcs[t * step + at];
        }
        if (t < n - 1) {  // dh of step t + 1 U, by parts
            T* out = parts + (((size_t)((t + 1) & 1) * groups + group) * C + u) * R * H;
            for (int w = tid; w < tasks * S; w += blockDim.x) {
                const int split = w / tasks, task = w - split * tasks, row0 = task / tn * RT, pack0 = task % tn;
                Pack<T> acc[RT][NP];
                #pragma unroll
                for (int q = 0; q < RT; q++)
                    #pragma unroll
                    for (int k = 0; k < NP; k++)
                        #pragma unroll
                        for (int v = 0; v < V; v++) acc[q][k].v[v] = 0;
                const int part = up(up(depth, S) / S, V), k0 = split * part;
                multiply<T, RT, NP>(acc, a + row0 * lda, lda, m + pack0 * V, ldm, tn, packs - pack0, k0,
                                    min(k0 + part, depth));
                #pragma unroll
                for (int q = 0; q < RT; q++)
                    #pragma unroll
                    for (int k = 0; k < NP; k++) {
                        const int column = (pack0 + k * tn) * V;
                        if (pack0 + k * tn >= packs) continue;
                        if (S > 1 || C == 1)
                            *(Pack<T>*)(red + ((size_t)split * tr * RT + row0 + q) * ldm + column) = acc[q][k];
                        else if (row0 + q < rows)
                            for (int v = 0; v < V; v++)
                                if (column + v < H) out[(size_t)(row0 + q) * H + column + v] = acc[q][k].v[v];
                    }
            }
            T sum = 0;
            if (S > 1 || C == 1) {
                __syncthreads();
                if (C > 1)
                    for (int q = tid; q < rows * H; q += blockDim.x) {
                        const int i = q / H, k = q - i * H;
                        T s = 0;
                        for (int w = 0; w < S; w++) s += red[((size_t)w * tr * RT + i) * ldm + k];
                        out[q] = s;
                    }
                else if (own)
                    for (int w = 0; w < S; w++) sum += red[((size_t)w * tr * RT + r) * ldm + j0 + j];
            }
            come(counters + group, C, target);
            wait(counters + group, C, target);
            if (own && C > 1) {
                const T* all = parts + ((size_t)((t + 1) & 1) * groups + group) * C * R * H + (size_t)r * H + j0 + j;
                #pragma unroll 8
                for (int w = 0; w < C; w++) sum += READ(all + (size_t)w * R * H);
            }
            dh += sum;
        }
        if (t < 0) break;
        if (own) {
            T d[K::D];
            if (t < alive) {
                T carry = 0;
                K::back(p, dh + more, more_c, carry, dc, d);
                dh = carry;
            } else
                for (int g = 0; g < K::D; g++) d[g] = 0;  // a row that has ended hands on what came
            for (int g = 0; g < K::D; g++) D[(((size_t)t * B + b0 + r) * K::D + g) * H + j0 + j] = d[g];
            for (int g = 0; g < K::G; g++) a[r * lda + g * nj + j] = d[K::U0 + g];
        }
        __syncthreads();
    }
    if (own) {
        dh_out[at] = dh;
        if (K::Cell) dc_out[at] = dc;
    }
}

// One step: ``A`` (B,G H) holds h U^T.
template <template <typename> class Cell, typename T, int RT>
__global__ void ahead_one(
    const T* A, const T* b, const T* Zx, const int* lengths, T* tape, T* hs, T* P, T* h_io, T* c_io, int B, int H, int t) {
    typedef Cell<T> K;
    const size_t step = (size_t)B * H, at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= step) return;
    const int row = (int)(at / H), j = (int)(at - (size_t)row * H);
    T x[K::X], s[K::G], bias[K::D], p[K::P], h = h_io[at], c = 0;
    for (int g = 0; g < K::X; g++) x[g] = Zx[((size_t)t * B + row) * K::X * H + g * H + j];
    for (int g = 0; g < K::G; g++) s[g] = A[(size_t)row * K::G * H + g * H + j];
    for (int g = 0; g < K::D; g++) bias[g] = b[g * H + j];
    if (K::Cell) c = c_io[at];
    const bool live = !lengths || t < lengths[row];
    if (live) {
        K::ahead(x, s, bias, h, c, p);
        h_io[at] = h;
        if (K::Cell) c_io[at] = c;
    }
    tape[(t + 1) * step + at] = hs[t * step + at] = live ? h : T(0);
    for (int k = 0; k < K::P; k++) P[((size_t)t * K::P + k) * step + at] = live ? p[k] : T(0);
}

// One step: ``rec`` (B,H) holds dh of the step after through U, ``dh_io`` what it hands on besides.
template <template <typename> class Cell, typename T, int RT>
__global__ void back_one(
    const T* rec, const T* P, const T* dhs, const T* dcs, const int* lengths, T* D, T* dh_io, T* dc_io, int B, int H, int t) {
    typedef Cell<T> K;
    const size_t step = (size_t)B * H, at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= step) return;
    const int row = (int)(at / H), j = (int)(at - (size_t)row * H);
    T d[K::D], p[K::P], dh = dh_io[at] + (rec ? rec[at] : T(0)), dc = 0;
    if (K::Cell) dc = dc_io[at];
    if (!lengths || t < lengths[row]) {
        for (int k = 0; k < K::P; k++) p[k] = P[((size_t)t * K::P + k) * step + at];
        T carry = 0;
        K::back(p, dh + (dhs ? dhs[t * step + at] : T(0)), K::Cell && dcs ? dcs[t * step + at] : T(0), carry, dc, d);
        dh = carry;
    } else
        for (int g = 0; g < K::D; g++) d[g] = 0;
    for (int g = 0; g < K::D; g++) D[(((size_t)t * B + row) * K::D + g) * H + j] = d[g];
    dh_io[at] = dh;
    if (K::Cell) dc_io[at] = dc;
}

// Up to 13 arrays one behind the other in ``out``.
template <typename T>
__global__ void gather(
    T* out, const T* p0, const T* p1, const T* p2, const T* p3, const T* p4, const T* p5, const T* p6, const T* p7,
    const T* p8, const T* p9, const T* p10, const T* p11, const T* p12, long long n0, long long n1, long long n2,
    long long n3, long long n4, long long n5, long long n6, long long n7, long long n8, long long n9, long long n10,
    long long n11, long long n12) {
    const T* p[] = {p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12};
    const long long n[] = {n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12};
    const long long start = (long long)blockIdx.x * blockDim.x + threadIdx.x, stride = (long long)gridDim.x * blockDim.x;
    #pragma unroll
    for (int q = 0; q < 13; q++) {
        for (long long k = start; k < n[q]; k += stride) out[k] = p[q][k];
        out += n[q];
    }
}
