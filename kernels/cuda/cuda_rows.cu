/* cuda_rows.cu - norms, rotation and activation of rows. The order of a sum depends on the width of
 * what is normalised alone. */
#include "kernels/cuda/cuda_quad.cuh"

struct norm {
    struct mat y, x;
    const float *w, *b; /* b NULL: no mean is taken off */
    int n;              /* values that are normalised together: a run */
    float eps;
    int threads; /* of a run; more than a warp has them to itself */
};

enum { MOST_WARPS = MOST_THREADS / LANES };

struct norm_shared { /* sums of warps: for the mean, for the variance */
    float part[2][MOST_WARPS];
};

/* The sum over the threads of a run, in all of them: lanes meet in a tree, warps in ascending
 * order.
 */
DEVICE float run_sum(float v, float *part, int threads)
{
    v = cuda_warp_sum(v);
    if (threads == LANES) return v;
    if (cuda_lane() == 0) part[threadIdx.x / LANES] = v;
    __syncthreads();
    v = part[0];
    for (int i = 1; i < threads / LANES; i++)
        v += part[i];
    return v;
}

/* Where a thread is: its first quad, and how far it is to the next. */
struct run {
    int row, col, quad, step, n;
};

template <bool WIDE>
DEVICE struct quad run_quad(const struct norm &a, const struct run &r, int quad)
{
    int col = quad * QUAD;
    if (col >= r.n) return {{0, 0, 0, 0}};
    return quad_load<WIDE>(a.x, r.row, r.col + col, quad_values(r.n, col));
}

DEVICE float quad_total(struct quad v)
{
    return v.at[0] + v.at[1] + v.at[2] + v.at[3];
}

/* Of values less the mean; those behind the end of the run do not count. */
DEVICE float quad_squares(struct quad v, float mean, int n)
{
    float sum = 0;
    UNROLL for (int i = 0; i < QUAD; i++) if (i < n)
    {
        float d = v.at[i] - mean;
        sum += d * d;
    }
    return sum;
}

template <bool WIDE>
DEVICE void run_store(const struct norm &a, const struct run &r, int quad, struct quad v,
                      float mean, float scale)
{
    struct mat w = {(void *)(uintptr_t)a.w, DT_F32, 1, r.n, r.n}, b = w;
    int col = quad * QUAD, n = quad_values(r.n, col);
    b.data = (void *)(uintptr_t)a.b;
    if (col >= r.n) return;
    struct quad by = quad_load<WIDE>(w, 0, col, n), y;
    UNROLL for (int i = 0; i < QUAD; i++) y.at[i] = (v.at[i] - mean) * scale * by.at[i];
    if (a.b) {
        by = quad_load<WIDE>(b, 0, col, n);
        UNROLL for (int i = 0; i < QUAD; i++) y.at[i] += by.at[i];
    }
    quad_store<WIDE>(a.y, r.row, r.col + col, n, y);
}

DEVICE struct run run_of(const struct norm &a)
{
    int runs = a.x.cols / a.n, share = (int)blockDim.x / a.threads;
    int i = (int)blockIdx.x * share + (int)threadIdx.x / a.threads;
    struct run r = {i / runs, i % runs * a.n, (int)threadIdx.x % a.threads, a.threads, a.n};
    return r;
}

/* A thread adds quads t, t + threads, ... and holds them in registers; QUADS is how many there are
 * at most. It writes what it read, so y may be x. */
template <int QUADS> __global__ void __launch_bounds__(MOST_THREADS) norm_runs(struct norm a)
{
    SHARED(norm_shared, shared);
    struct run r = run_of(a);
    struct quad v[QUADS];
    float mean = 0, sum = 0;
    if (r.row >= a.x.rows) return;
    UNROLL for (int i = 0; i < QUADS; i++) v[i] = run_quad<true>(a, r, r.quad + i * r.step);
    if (a.b) {
        UNROLL for (int i = 0; i < QUADS; i++) mean += quad_total(v[i]);
        mean = run_sum(mean, shared.part[0], a.threads) / (float)r.n;
    }
    UNROLL for (int i = 0; i < QUADS; i++) sum +=
        quad_squares(v[i], mean, r.n - (r.quad + i * r.step) * QUAD);
    sum = run_sum(sum, shared.part[1], a.threads);
    float scale = 1.0f / sqrtf(sum / (float)r.n + a.eps);
    UNROLL for (int i = 0; i < QUADS; i++)
        run_store<true>(a, r, r.quad + i * r.step, v[i], mean, scale);
}

/* The same sums of any width and alignment; values are read again. */
__global__ void __launch_bounds__(MOST_THREADS) norm_runs_plain(struct norm a)
{
    SHARED(norm_shared, shared);
    struct run r = run_of(a);
    int quads = (r.n + QUAD - 1) / QUAD;
    float mean = 0, sum = 0;
    if (r.row >= a.x.rows) return;
    for (int i = r.quad; a.b && i < quads; i += r.step)
        mean += quad_total(run_quad<false>(a, r, i));
    if (a.b) mean = run_sum(mean, shared.part[0], a.threads) / (float)r.n;
    for (int i = r.quad; i < quads; i += r.step)
        sum += quad_squares(run_quad<false>(a, r, i), mean, r.n - i * QUAD);
    sum = run_sum(sum, shared.part[1], a.threads);
    float scale = 1.0f / sqrtf(sum / (float)r.n + a.eps);
    for (int i = r.quad; i < quads; i += r.step)
        run_store<false>(a, r, i, run_quad<false>(a, r, i), mean, scale);
}

enum { WIDEST = 8 }; /* quads that a thread holds */

/* How many quads a thread has at most, where the width alone says how many threads there are. */
static int norm_quads(int n)
{
    int each = (quads_of(n) - 1) / MOST_THREADS + 1;
    return each <= 1 ? 1 : each <= 4 ? 4 : each <= WIDEST ? WIDEST : each;
}

static void norm_with(struct queue *q, const char *what, struct norm a)
{
    int runs = a.x.rows * (a.x.cols / a.n), each = norm_quads(a.n);
    bool wide = on_16(a.x) && on_16(a.y) && a.n % QUAD == 0 && each <= WIDEST &&
                (uintptr_t)a.w % 16 == 0 && (uintptr_t)a.b % 16 == 0;
    a.threads = ((quads_of(a.n) - 1) / each / LANES + 1) * LANES;
    int share = a.threads == LANES && runs > 1 ? WARPS : 1; /* runs of a block */
    dim3 grid((unsigned)((runs + share - 1) / share));
    if (runs == 0) return;
    cuda_launch_shared(q, what,
                       !wide       ? norm_runs_plain
                       : each == 1 ? norm_runs<1>
                       : each == 4 ? norm_runs<4>
                                   : norm_runs<WIDEST>,
                       grid, a.threads * share, sizeof(struct norm_shared), a);
}

void cuda_rmsnorm(struct queue *q, struct mat y, struct mat x, struct mat w, float eps)
{
    struct norm a = {y, x, (const float *)w.data, nullptr, w.cols, eps, 0};
    norm_with(q, "rmsnorm", a);
}

void cuda_layernorm(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b,
                    float eps)
{
    struct norm a = {y, x, (const float *)w.data, (const float *)b.data, x.cols, eps, 0};
    norm_with(q, "layernorm", a);
}

/* Angles are sums in f32 over ascending axes; their cosines and sines are made in double, so the
 * last bit is that of the nearest f32 but for ties. */
__global__ void __launch_bounds__(WARPS *LANES)
    angle_rows(struct mat cos_sin, const int32_t *at, struct mat inverse)
{
    int row = cuda_row(), half = inverse.cols;
    if (row >= cos_sin.rows) return;
    for (int e = cuda_lane(); e < half; e += LANES) {
        float angle = 0;
        for (int axis = 0; axis < inverse.rows; axis++)
            angle += (float)at[row * inverse.rows + axis] * mat_load(inverse, axis, e);
        mat_store(cos_sin, row, e, (float)cos((double)angle));
        mat_store(cos_sin, row, half + e, (float)sin((double)angle));
    }
}

void cuda_angles(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse)
{
    if (cos_sin.rows == 0) return;
    cuda_launch(q, "angles", angle_rows, cuda_row_blocks(cos_sin.rows), WARPS * LANES, cos_sin,
                at.at, inverse);
}

/* A thread turns pairs (e, e + half) of a head, four neighbours; it writes what it read, so y may
 * be x. */
template <bool WIDE>
__global__ void __launch_bounds__(MOST_THREADS)
    rope_rows(struct mat y, struct mat x, struct mat cos_sin, struct cut cut)
{
    int half = cos_sin.cols / 2, quads = (half + QUAD - 1) / QUAD, piece = cut_piece(cut);
    int row = cut_row(cut), e = piece % quads * QUAD, lo = piece / quads * 2 * half + e;
    if (piece >= cut.pieces) return;
    int hi = lo + half, n = quad_values(half, e);
    struct quad c = quad_load<WIDE>(cos_sin, row, e, n);
    struct quad s = quad_load<WIDE>(cos_sin, row, half + e, n);
    struct quad u = quad_load<WIDE>(x, row, lo, n), v = quad_load<WIDE>(x, row, hi, n);
    quad_store<WIDE>(y, row, lo, n, turned(u, v, c, s, -1));
    quad_store<WIDE>(y, row, hi, n, turned(v, u, c, s, 1));
}

void cuda_rope(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin)
{
    int half = cos_sin.cols / 2;
    struct cut cut = cut_of(x.rows, heads * quads_of(half));
    bool wide = on_16(x) && on_16(y) && on_16(cos_sin) && half % QUAD == 0;
    if (x.rows == 0) return;
    cuda_launch(q, "rope", wide ? rope_rows<true> : rope_rows<false>, cut_grid(cut),
                cut_threads(cut), y, x, cos_sin, cut);
}

template <bool WIDE>
__global__ void __launch_bounds__(MOST_THREADS)
    swiglu_rows(struct mat y, struct mat gate_up, struct cut cut)
{
    int col = cut_piece(cut) * QUAD, row = cut_row(cut), n = quad_values(y.cols, col);
    if (col >= y.cols) return;
    struct quad gate = quad_load<WIDE>(gate_up, row, col, n);
    struct quad up = quad_load<WIDE>(gate_up, row, y.cols + col, n);
    UNROLL for (int i = 0; i < QUAD; i++) up.at[i] =
        gate.at[i] / (1.0f + expf(-gate.at[i])) * up.at[i];
    quad_store<WIDE>(y, row, col, n, up);
}

void cuda_swiglu(struct queue *q, struct mat y, struct mat gate_up)
{
    struct cut cut = cut_of(y.rows, quads_of(y.cols));
    bool wide = on_16(y) && on_16(gate_up) && y.cols % QUAD == 0;
    if (y.rows == 0) return;
    cuda_launch(q, "swiglu", wide ? swiglu_rows<true> : swiglu_rows<false>, cut_grid(cut),
                cut_threads(cut), y, gate_up, cut);
}
