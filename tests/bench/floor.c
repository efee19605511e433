/* The default detector's arithmetic for one tick of each of many trucks, as one plain loop: what a tick must cost at
 * least. 16 signals, GRU autoencoder of 32 units with a bottleneck of 2, per signal three running means and a two-sided
 * sum. Weights are whatever the caller gives: only the time counts. Built by bench_floor.py. */
#include <math.h>
#include <string.h>

enum { F = 16, I = 2 * F, H = 32, Z = 2, MEANS = 3 * F, SUMS = 2 * F, CHARTS = 4 * F };
enum { STATE = 2 * H + 1 + MEANS + SUMS };

typedef struct {
    float center[F], scale[F], residual_center[F], residual_scale[F], limit[CHARTS], decay[MEANS], allowance[F];
    float encoder_w[I][3 * H], encoder_r[H][3 * H], encoder_b[6 * H];
    float bottleneck_w[H][Z], bottleneck_b[Z];
    float decoder_w[Z][3 * H], decoder_r[H][3 * H], decoder_b[6 * H];
    float output_w[H][F], output_b[F];
} Weights;

static inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
static inline float clip(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static inline void gru(const float *x, int inputs, const float *w, const float *r, const float *b, float *h) {
    float in[3 * H], rec[3 * H];
    memcpy(in, b, sizeof in);
    memcpy(rec, b + 3 * H, sizeof rec);
    for (int i = 0; i < inputs; i++)
        for (int j = 0; j < 3 * H; j++) in[j] += x[i] * w[i * 3 * H + j];
    for (int i = 0; i < H; i++)
        for (int j = 0; j < 3 * H; j++) rec[j] += h[i] * r[i * 3 * H + j];
    for (int j = 0; j < H; j++) {
        float update = sigmoid(in[j] + rec[j]), reset = sigmoid(in[H + j] + rec[H + j]);
        float fresh = tanhf(in[2 * H + j] + reset * rec[2 * H + j]);
        h[j] = (1.0f - update) * fresh + update * h[j];
    }
}

static float tick(const Weights *k, const float *x, float *s, float *chart, float *expected) {
    float in[I], z[Z], residual[F], score = -INFINITY;
    float *encoder = s, *decoder = s + H, *age = s + 2 * H, *mean = age + 1, *sum = mean + MEANS;
    for (int f = 0; f < F; f++) {
        float there = x[f] - x[f] > -1.0f;
        in[f] = clip(((there > 0.0f ? x[f] : k->center[f]) - k->center[f]) / k->scale[f], -10.0f, 10.0f);
        in[F + f] = there;
    }
    gru(in, I, &k->encoder_w[0][0], &k->encoder_r[0][0], k->encoder_b, encoder);
    memcpy(z, k->bottleneck_b, sizeof z);
    for (int i = 0; i < H; i++)
        for (int j = 0; j < Z; j++) z[j] += encoder[i] * k->bottleneck_w[i][j];
    for (int j = 0; j < Z; j++) z[j] = tanhf(z[j]);
    gru(z, Z, &k->decoder_w[0][0], &k->decoder_r[0][0], k->decoder_b, decoder);
    memcpy(expected, k->output_b, sizeof k->output_b);
    for (int i = 0; i < H; i++)
        for (int f = 0; f < F; f++) expected[f] += decoder[i] * k->output_w[i][f];
    *age = fminf(*age + 0x1p-20f, 1.0f);
    for (int f = 0; f < F; f++) {
        float valid = in[F + f] * (*age > 0x1p-16f);
        expected[f] = expected[f] * k->scale[f] + k->center[f];
        residual[f] = clip((x[f] - expected[f] - k->residual_center[f]) / k->residual_scale[f], -8.0f, 8.0f);
        residual[f] = valid > 0.0f ? residual[f] : 0.0f;
        float r[3] = {residual[f], residual[f], residual[f] * residual[f]};
        for (int m = 0; m < 3; m++) {
            float keep = valid > 0.0f ? k->decay[m * F + f] : 1.0f;
            mean[m * F + f] = keep * mean[m * F + f] + (1.0f - keep) * r[m];
        }
        sum[f] = clip(sum[f] + valid * (residual[f] - k->allowance[f]), 0.0f, 50.0f);
        sum[F + f] = clip(sum[F + f] + valid * (-residual[f] - k->allowance[f]), 0.0f, 50.0f);
        chart[f] = fabsf(mean[f]);
        chart[F + f] = fabsf(mean[F + f]);
        chart[2 * F + f] = sqrtf(mean[2 * F + f]);
        chart[3 * F + f] = fmaxf(sum[f], sum[F + f]);
    }
    for (int c = 0; c < CHARTS; c++) {
        chart[c] *= k->limit[c];
        score = fmaxf(score, chart[c]);
    }
    return score;
}

int state_size(void) { return STATE; }
int weights_size(void) { return sizeof(Weights) / sizeof(float); }

void ticks(const float *weights, const float *x, float *state, float *chart, float *expected, float *score,
           int trucks, int times) {
    const Weights *k = (const Weights *)weights;
    for (; times > 0; times--)
        for (int t = 0; t < trucks; t++)
            score[t] = tick(k, x + t * F, state + t * STATE, chart + t * CHARTS, expected + t * F);
}
