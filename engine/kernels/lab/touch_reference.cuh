// References of the six kernels of the touch stage, in doubles.
#pragma once
#include "../touch_upsample.cu"
#include "../touch_attention.cu"
#include "../touch_hints.cu"
#include "lab.cuh"

namespace lab {

// All inputs and outputs of a touch, with random maps and weights of a plausible size.
struct Touch {
    Touch(int h, int w, int number)
        : h(h),
          w(w),
          number(number),
          cells(size_t(h) * w),
          hints(MAX_HINTS),
          count(1),
          query(HEADS * QUERY_CHANNELS * cells),
          key(HEADS * KEY * cells),
          gate(HEADS * cells),
          base(2 * cells),
          mood(2 * MOOD * cells),
          up(NEIGHBOURS * SUBPIXELS * cells),
          globals(GLOBALS),
          weights(1),
          work(1),
          coarse(2 * cells),
          parts(PARTS * HEADS * cells),
          ab(2 * SUBPIXELS * cells) {
        std::uniform_real_distribution<double> position(0, 1), colour(-90, 90);
        for (Hint& hint : hints.host)
            hint = {position(random_bits()),      position(random_bits()),        float(colour(random_bits())),
                    float(colour(random_bits())), float(1 + random_bits()() % 9), 0};
        count.host[0] = number;
        for (Array<float>* map : {&query, &key, &base, &mood}) fill_uniform(map->host, -0.4f, 0.4f);
        for (Array<float>* map : {&gate, &up, &globals}) fill_uniform(map->host, 0, 0.25f);
        std::vector<float> random(sizeof(TouchWeights) / sizeof(float));
        fill_uniform(random, -0.08f, 0.08f);
        memcpy(static_cast<void*>(weights.host.data()), random.data(), sizeof(TouchWeights));
        for (float& reach : weights.host[0].reach) reach = 5;
        weights.host[0].surprise[0] = 0.4f;
        weights.host[0].surprise[1] = 10.0f;
        weights.host[0].contrast[0] = -1.4f;
        weights.host[0].contrast[1] = 2.0f;
        for (Array<float>* map : {&query, &key, &gate, &base, &mood, &up, &globals}) map->upload();
        hints.upload(), count.upload(), weights.upload();
    }

    // Mean of a plane over the patch of hint n.
    double patch(const std::vector<float>& planes, size_t plane, int n) const {
        const Hint& hint = hints.host[n];
        double sum = 0;
        for (int quarter = 0; quarter < 4; quarter++) {
            const double step = hint.size / (4.0 * WORKING_PX);
            const double x = float(hint.x) + (quarter % 2 ? step : -step),
                         y = float(hint.y) + (quarter / 2 ? step : -step);
            const ExactNeighbours row = exact_neighbours(y * h - 0.5, h), column = exact_neighbours(x * w - 0.5, w);
            sum += exact_bilinear(&planes[plane * cells], w, row, column) / 4;
        }
        return sum;
    }

    // A pixel of the upsampled picture, without corrections.
    double upsampled(int channel, int x, int y) const {
        const int cx = x / CELL_PX, cy = y / CELL_PX, sub = y % CELL_PX * CELL_PX + x % CELL_PX;
        double sum = 0;
        for (int k = 0; k < NEIGHBOURS; k++) {
            const int row = std::min(std::max(cy + k / 3 - 1, 0), h - 1),
                      column = std::min(std::max(cx + k % 3 - 1, 0), w - 1);
            sum += double(coarse.host[channel * cells + row * w + column]) *
                   up.host[size_t(k * SUBPIXELS + sub) * cells + cy * w + cx];
        }
        return sum * AB_SCALE;
    }

    const int h, w, number;
    const size_t cells;
    Array<Hint> hints;
    Array<int> count;
    Array<float> query, key, gate, base, mood, up, globals;
    Array<TouchWeights> weights;
    Array<TouchWork> work;
    Array<float> coarse, parts, ab;
};

inline double gelu_reference(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

inline double weight_reference(const float* key, const float* query, size_t stride, double null) {
    double logit = null;
    for (int c = 0; c < KEY_CHANNELS; c++) logit += double(key[c]) * query[c * stride];
    return std::exp(std::min(logit, double(MAX_LOGIT)));
}

inline double gaussian_reference(double distance) { return std::exp(-distance * distance / (2.0 * SIGMA * SIGMA)); }

inline double gaussian_between(const Hint& one, const Hint& other) {
    return gaussian_reference(double(float(one.x)) - float(other.x)) *
           gaussian_reference(double(float(one.y)) - float(other.y));
}

inline std::vector<float> floats(const float* from, size_t count) { return {from, from + count}; }

constexpr Tolerance SUMS{2e-4, 2e-5, "sums of products in float"};

inline double focused_reference(double gate, double weights, double focus) { return gate * std::exp(focus / weights); }

// The token of hint n.
inline std::vector<double> token_reference(const Touch& touch, int n) {
    const Hint& hint = touch.hints.host[n];
    std::vector<double> token;
    for (int i = 0; i < HEADS * KEY; i++) token.push_back(touch.patch(touch.key.host, i, n));
    const double a = hint.a / AB_SCALE, b = hint.b / AB_SCALE;
    for (double value : {(a - touch.patch(touch.base.host, 0, n)) * 4, (b - touch.patch(touch.base.host, 1, n)) * 4,
                         a * 4, b * 4, (hint.size - 5.0) / 4, double(touch.globals.host[HISTOGRAM_FLAG]),
                         double(touch.globals.host[SATURATION_FLAG])})
        token.push_back(value);
    return token;
}

// The output of the token's network, in the rows of TouchWeights.out.
inline std::vector<double> output_reference(const TouchWeights& weights, const std::vector<double>& token) {
    std::vector<double> hidden, out;
    for (int unit = 0; unit < HIDDEN; unit++) {
        double sum = weights.token_bias[unit];
        for (int i = 0; i < TOKEN; i++) sum += token[i] * weights.token[i][unit];
        hidden.push_back(gelu_reference(sum));
    }
    for (int row = 0; row < OUT; row++) {
        double sum = weights.out_bias[row];
        for (int i = 0; i < HIDDEN; i++) sum += hidden[i] * weights.out[row][i];
        out.push_back(sum);
    }
    return out;
}

inline double surprise_reference(const TouchWeights& weights, const std::vector<double>& token) {
    const double difference = std::hypot(token[HEADS * KEY] / 4, token[HEADS * KEY + 1] / 4);
    const double distance = std::sqrt(difference * difference + MIN_SURPRISE);
    return 1 / (1 + std::exp((weights.surprise[0] - distance) * weights.surprise[1]));
}

// Compares what touch_tokens writes of every hint, except its sampled gates, mood and base maps.
inline bool tokens_right(Touch& touch) {
    touch.work.download();
    const TouchWeights& weights = touch.weights.host[0];
    const TouchWork& work = touch.work.host[0];
    bool right = true;
    for (int n = 0; n < touch.number; n++) {
        const Hint& hint = touch.hints.host[n];
        const std::vector<double> token = token_reference(touch, n), out = output_reference(weights, token);
        std::vector<double> keys, queries, nulls, focus, moods;
        std::vector<float> found;
        const double x = float(hint.x) - MIDDLE, y = float(hint.y) - MIDDLE,
                     surprise = surprise_reference(weights, token);
        for (int head = 0; head < HEADS; head++) {
            keys.insert(keys.end(), token.begin() + head * KEY, token.begin() + (head + 1) * KEY);
            focus.push_back(MAX_FOCUS * std::tanh(FOCUS_SLOPE * out[MOOD + HEADS + head]) * surprise);
            const double bias = out[MOOD + head] + std::max(focus.back(), 0.0);
            const double narrowing =
                std::exp(MAX_NARROWING * std::tanh(FOCUS_SLOPE * out[MOOD + 2 * HEADS + head]) * surprise);
            const double last = bias - narrowing * weights.reach[head] * (x * x + y * y);
            for (double value : {narrowing * x, narrowing * y, narrowing, last}) keys.push_back(value);
            found.push_back(work.focus[head][n]);
            for (int c = 0; c < QUERY_CHANNELS; c++)
                (c < KEY_CHANNELS ? queries : nulls)
                    .push_back(touch.patch(touch.query.host, head * QUERY_CHANNELS + c, n));
        }
        for (int i = 0; i < MOOD; i++) moods.push_back(out[i] * (1 - surprise));
        right = right && same("key", floats(work.keys[n][0], keys.size()), keys, SUMS) &&
                same("query", floats(work.queries[n][0], queries.size()), queries, SUMS) &&
                same("null", floats(work.nulls[n], HEADS), nulls, SUMS) && same("focus", found, focus, SUMS) &&
                same("surprise", floats(&work.surprises[n], 1), {surprise}, SUMS) &&
                same("mood", floats(work.moods[n], MOOD), moods, SUMS);
    }
    return right;
}

inline double gain_reference(const TouchWeights& weights, double surprising, double null) {
    const double odds = std::log((surprising + MIN_SHARE) / (null + MIN_SHARE));
    const double target = 1 / (1 + std::exp((weights.contrast[0] - odds) * weights.contrast[1]));
    return target * (surprising + null) / (surprising + MIN_SHARE);
}

// Every hint's share at hint m.
inline std::vector<double> shares_reference(const TouchWeights& weights, const TouchWork& work, int m, int number) {
    std::vector<double> shares(number, 0.0);
    double gates = 0, null = 0, surprising = 0;
    for (int head = 0; head < HEADS; head++) {
        std::vector<double> head_weights;
        double sum = 1, focus = 0;
        for (int n = 0; n < number; n++) {
            head_weights.push_back(weight_reference(work.keys[n][head], work.queries[m][head], 1, work.nulls[m][head]));
            sum += head_weights.back();
            focus += head_weights.back() * work.focus[head][n];
        }
        const double gate = focused_reference(work.gates[m][head], sum, focus);
        for (int n = 0; n < number; n++) shares[n] += head_weights[n] * gate / sum;
        null += gate / sum;
        gates += gate;
    }
    for (int n = 0; n < number; n++) surprising += work.surprises[n] * shares[n] / gates;
    const double gain = gain_reference(weights, surprising, null / gates);
    for (int n = 0; n < number; n++) shares[n] *= (1 + work.surprises[n] * (gain - 1)) / gates;
    return shares;
}

inline bool shares_right(Touch& touch) {
    touch.work.download();
    const TouchWork& work = touch.work.host[0];
    const TouchWeights& weights = touch.weights.host[0];
    bool right = true;
    for (int m = 0; m < touch.number; m++) {
        const std::vector<double> shares = shares_reference(weights, work, m, touch.number);
        std::vector<double> gaussians;
        std::vector<float> found;
        for (int n = 0; n < touch.number; n++) {
            found.push_back(work.shares[n][m]);
            gaussians.push_back(gaussian_between(touch.hints.host[m], touch.hints.host[n]));
        }
        right = right && same("share", found, shares, SUMS) &&
                same("gaussian", floats(work.gaussians[m], gaussians.size()), gaussians, SUMS);
    }
    std::vector<double> hidden, mood;
    for (int unit = 0; unit < HIDDEN; unit++) {
        double sum = 0;
        for (int i = 0; i < GLOBALS; i++) sum += double(touch.globals.host[i]) * weights.global_hidden[i][unit];
        hidden.push_back(gelu_reference(sum));
    }
    for (int i = 0; i < MOOD; i++) {
        double sum = 0, shift = 0;
        for (int n = 0; n < touch.number; n++) sum += work.moods[n][i];
        for (int unit = 0; unit < HIDDEN; unit++) shift += hidden[unit] * weights.global_mood[i][unit];
        mood.push_back(sum / (1 + touch.number) + shift);
    }
    return right && same("pooled mood", floats(work.mood, MOOD), mood, SUMS);
}

// Richardson iteration v ← v + (target − v·matrix) · step, by which both of the stage's small systems are solved.
inline std::vector<double> richardson(const std::vector<double>& target, const std::function<double(int, int)>& matrix,
                                      const std::vector<double>& step) {
    std::vector<double> values;
    for (size_t m = 0; m < target.size(); m++) values.push_back(target[m] * step[m]);
    for (int round = 0; round < ROUNDS; round++) {
        std::vector<double> next = values;
        for (size_t m = 0; m < target.size(); m++) {
            double sum = 0;
            for (size_t n = 0; n < target.size(); n++) sum += values[n] * matrix(int(n), int(m));
            next[m] += (target[m] - sum) * step[m];
        }
        values = next;
    }
    return values;
}

inline bool values_right(Touch& touch) {
    touch.work.download();
    const TouchWork& work = touch.work.host[0];
    bool right = true;
    for (int channel = 0; channel < 2; channel++) {
        std::vector<double> differences;
        for (int m = 0; m < touch.number; m++) {
            double automatic = work.bases[m][channel];
            for (int i = 0; i < MOOD; i++) automatic += double(work.mood[i]) * work.mood_maps[m][channel * MOOD + i];
            const Hint& hint = touch.hints.host[m];
            differences.push_back((channel ? hint.b : hint.a) / AB_SCALE - automatic);
        }
        const auto expected = richardson(
            differences, [&](int n, int m) { return work.shares[n][m]; }, std::vector<double>(differences.size(), 1.0));
        right = right && same("value", floats(work.values[channel], expected.size()), expected, SUMS);
    }
    return right;
}

// The parts of touch_attention.cu, of every head and cell [HEADS, PARTS, cells].
inline std::vector<double> attention_parts(const Touch& touch) {
    const TouchWork& work = touch.work.host[0];
    std::vector<double> parts(PARTS * HEADS * touch.cells);
    for (size_t p = 0; p < touch.cells; p++)
        for (int head = 0; head < HEADS; head++) {
            const float* query = &touch.query.host[size_t(head) * QUERY_CHANNELS * touch.cells + p];
            double sum = 1, focus = 0, of[PARTS] = {};
            for (int n = 0; n < touch.number; n++) {
                const double weight =
                    weight_reference(work.keys[n][head], query, touch.cells, query[KEY_CHANNELS * touch.cells]);
                sum += weight;
                focus += weight * work.focus[head][n];
                of[SURPRISING_SHARE] += weight * work.surprises[n];
                for (int channel = 0; channel < 2; channel++) {
                    of[EXPECTED_A + channel] += weight * work.values[channel][n] * (1 - work.surprises[n]);
                    of[SURPRISING_A + channel] += weight * work.values[channel][n] * work.surprises[n];
                }
            }
            const double focused = focused_reference(touch.gate.host[head * touch.cells + p], sum, focus);
            of[NULL_SHARE] = 1;
            of[GATE] = sum;
            for (int part = 0; part < PARTS; part++)
                parts[(PARTS * head + part) * touch.cells + p] = of[part] * focused / sum;
        }
    return parts;
}

inline std::vector<double> attention_reference(const Touch& touch) {
    const TouchWork& work = touch.work.host[0];
    const std::vector<double> parts = attention_parts(touch);
    std::vector<double> coarse(2 * touch.cells);
    for (size_t i = 0; i < coarse.size(); i++) {
        const size_t channel = i / touch.cells, p = i % touch.cells;
        double of[PARTS] = {};
        for (int head = 0; head < HEADS; head++)
            for (int part = 0; part < PARTS; part++) of[part] += parts[(PARTS * head + part) * touch.cells + p];
        const double gain =
            gain_reference(touch.weights.host[0], of[SURPRISING_SHARE] / of[GATE], of[NULL_SHARE] / of[GATE]);
        coarse[i] = touch.base.host[i] + (of[EXPECTED_A + channel] + of[SURPRISING_A + channel] * gain) / of[GATE];
        for (int k = 0; k < MOOD; k++)
            coarse[i] += double(work.mood[k]) * touch.mood.host[(channel * MOOD + k) * touch.cells + p];
    }
    return coarse;
}

inline bool amplitudes_right(Touch& touch) {
    touch.work.download();
    const std::vector<Hint>& hints = touch.hints.host;
    std::vector<double> step;
    for (int m = 0; m < touch.number; m++) {
        double sum = 0;
        for (int n = 0; n < touch.number; n++) sum += gaussian_between(hints[n], hints[m]);
        step.push_back(1 / std::max(sum, 1e-4));
    }
    bool right = true;
    for (int channel = 0; channel < 2; channel++) {
        std::vector<double> residual;
        for (int m = 0; m < touch.number; m++) {
            const ExactNeighbours row =
                exact_neighbours(double(float(hints[m].y)) * touch.h * CELL_PX - 0.5, touch.h * CELL_PX);
            const ExactNeighbours column =
                exact_neighbours(double(float(hints[m].x)) * touch.w * CELL_PX - 0.5, touch.w * CELL_PX);
            const auto at = [&](int x, int y) { return touch.upsampled(channel, x, y); };
            const double above =
                at(column.first, row.first) * (1 - column.fraction) + at(column.second, row.first) * column.fraction;
            const double below =
                at(column.first, row.second) * (1 - column.fraction) + at(column.second, row.second) * column.fraction;
            residual.push_back((channel ? hints[m].b : hints[m].a) - above * (1 - row.fraction) - below * row.fraction);
        }
        const auto expected =
            richardson(residual, [&](int n, int m) { return gaussian_between(hints[n], hints[m]); }, step);
        right = right && same("amplitude", floats(touch.work.host[0].amplitudes[channel], expected.size()), expected,
                              {2e-4, 2e-3, "sums of products in float"});
    }
    return right;
}

inline std::vector<double> upsample_reference(const Touch& touch) {
    std::vector<double> ab;
    for (int channel = 0; channel < 2; channel++)
        for (int y = 0; y < CELL_PX * touch.h; y++)
            for (int x = 0; x < CELL_PX * touch.w; x++) {
                double sum = touch.upsampled(channel, x, y);
                for (int n = 0; n < touch.number; n++)
                    sum += touch.work.host[0].amplitudes[channel][n] *
                           gaussian_reference(float(touch.hints.host[n].x) - (x + 0.5) / (CELL_PX * touch.w)) *
                           gaussian_reference(float(touch.hints.host[n].y) - (y + 0.5) / (CELL_PX * touch.h));
                ab.push_back(sum);
            }
    return ab;
}

}  // namespace lab
