"""What is made of slow measures on the CPU, compiled: the same as each part's `fill` does on tensors.

One row at a time, and of those that are due alone; what a part says of itself is in its own file.
"""

import math

import numpy as np

from engine.measure.host import grant, next_look, set_pace
from engine.measure.rows import Fact
from kernels.rows import compiled

_WIDTH, _HEIGHT = int(Fact.WIDTH), int(Fact.HEIGHT)
_FULL_RANGE, _INTERLACED = int(Fact.FULL_RANGE), int(Fact.INTERLACED)


@compiled
def fold_area(view, columns, slots, pts, due, usual, shape, told, since, limits, state, aim):
    """Area.fill on the host.

    Args:
        view: (N, columns) float64.
        columns: the first of the four of `active_area`, black_ratio, letterbox.
        slots, pts, due: (N,).
        usual, shape: (2, S) float64, bars of both directions, as a rule and at the last look that says something.
        told, since: (S,) float64.
        limits: black ratio, and that of what is inside the bars, that say nothing of the shape, symmetry of bars,
            seconds after which they are adopted, gain.
        state: of the schedule; aim: as `next_look` takes it.
    """
    first, black, letterbox = columns
    black_ratio, mostly_black, symmetry, adopt_seconds, gain = limits
    bars = np.empty(2)
    for row in range(slots.shape[0]):
        if not due[row]:
            continue
        slot, at = slots[row], pts[row]
        inside = (1.0 - view[row, first] - view[row, first + 1]) * (1.0 - view[row, first + 2] - view[row, first + 3])
        shown = 1.0 - view[row, black]
        says = shown > 1.0 - black_ratio and shown > (1.0 - mostly_black) * inside
        more, narrower = 0.0, True
        for k in range(2):
            one, other = view[row, first + 2 * k], view[row, first + 2 * k + 1]
            alike = abs(one - other) <= symmetry
            bars[k] = 0.0
            if alike:
                bars[k] = one + other
            elif abs(max(one, other) - shape[k, slot] / 2.0) <= symmetry:
                bars[k] = shape[k, slot]
            if says:
                shape[k, slot] = bars[k]
                if bars[k] < usual[k, slot] or (alike and math.isnan(usual[k, slot])):
                    usual[k, slot] = bars[k]
            elif bars[k] > shape[k, slot]:
                bars[k] = shape[k, slot]
            if bars[k] - usual[k, slot] > more:
                more = bars[k] - usual[k, slot]
            narrower = narrower and bars[k] > symmetry
        score = max(more, min(bars[0], bars[1]) if narrower else 0.0)
        tells = says or score < told[slot]
        if tells and not more > symmetry:
            since[slot] = np.nan
        elif tells and math.isnan(since[slot]):
            since[slot] = at
        if says and at - since[slot] >= adopt_seconds:
            usual[0, slot], usual[1, slot], since[slot] = bars[0], bars[1], np.nan
            score = min(bars[0], bars[1]) if narrower else 0.0
        if tells:
            told[slot] = score
        view[row, letterbox] = score if tells else np.nan
        set_pace(state, slot, next_look(aim, view, row, slot, at), gain)


@compiled
def fold_blocks(view, columns, slots, pts, due, mean, last, began, was_blocky, jumped, limits, state, aim):
    """Blocks.fill on the host.

    Args:
        view, slots, pts, due, state, aim: as for `fold_area`.
        columns: block_edges, their mean, and the seconds since they are as they are.
        mean, last: (S,) float64: the mean, and when it was taken.
        began, was_blocky: (S,) float64: when pictures began to be blocky, or not to be, and which (1 or 0).
        jumped: (S,) float64: when a picture last changed at once.
        limits: seconds of the mean, least seconds that a rise counts for, what is blocky, interval then, gain; seconds
            without blocks after which the mean is forgotten so many times as fast; the most that is dated back, and by
            a picture that changed at once.
    """
    edges, told, since = columns
    mean_seconds, rise_seconds, blocky, blocky_seconds, gain, quiet_seconds, faster = limits[:7]
    back_seconds, jump_seconds = limits[7:]
    for row in range(slots.shape[0]):
        if not due[row]:
            continue
        slot, at, now = slots[row], pts[row], view[row, edges]
        step = at - last[slot]
        back = at - jumped[slot] if jumped[slot] > last[slot] else 0.0  # NaN, of the first look, is not
        if not step > 0.0:  # NaN too
            step = 0.0
        is_blocky = 1.0 if now >= blocky else 0.0
        if now > mean[slot]:
            step = max(step, rise_seconds)
        elif is_blocky == 0.0 and was_blocky[slot] == 0.0 and at - began[slot] >= quiet_seconds:
            step *= faster
        mean[slot] += (now - mean[slot]) * (1.0 - math.exp(-step / mean_seconds))
        last[slot] = at
        view[row, told] = mean[slot]
        if not (is_blocky == was_blocky[slot] and at >= began[slot]):  # NaN too
            began[slot] = at - back if back <= jump_seconds else at
        was_blocky[slot] = is_blocky
        view[row, since] = min(at - began[slot], back_seconds) if is_blocky == 1.0 else at - began[slot]
        interval = next_look(aim, view, row, slot, at)
        if (now >= blocky or mean[slot] >= blocky) and interval > blocky_seconds:
            interval = blocky_seconds
        set_pace(state, slot, interval, gain)


@compiled
def fold_jitter(view, columns, counted, slots, pts, due, last, jumped, limits, state, aim):
    """Jitter.fill on the host.

    Args:
        view, slots, pts, due, state, aim: as for `fold_area`.
        columns: line_jitter, and the seconds since it began.
        counted: (N, 2) int32: rows that are displaced, and rows with detail.
        last: (S,) float64: when was looked last; jumped: (S,) float64: when a picture last changed at once.
        limits: fewest displaced rows, fewest rows with detail, the most that is dated back.
    """
    told, since = columns
    least_displaced, least_detailed, jump_seconds = limits
    for row in range(slots.shape[0]):
        if not due[row]:
            continue
        slot, at, displaced = slots[row], pts[row], counted[row, 0]
        back = at - jumped[slot] if jumped[slot] > last[slot] else 0.0  # NaN, of the first look, is not
        last[slot] = at
        view[row, told] = displaced / max(counted[row, 1], least_detailed) if displaced >= least_displaced else 0.0
        view[row, since] = back if back <= jump_seconds else 0.0
        set_pace(state, slot, next_look(aim, view, row, slot, at), 0.0)


@compiled
def fold_sharpness(view, columns, facts, slots, pts, due, steepest, last, limits, state, aim):
    """Sharpness.fill on the host.

    Args:
        view, slots, pts, due, state, aim: as for `fold_area`.
        columns: edge_span, cell_deviation, blur.
        facts: (len(Fact), N) float64.
        steepest, last: (S,) float64: how steep edges were, and when.
        limits: lines of a picture, largest cell, fewest lines, contrast, score without an edge, how much softer counts,
            seconds of memory, gain.
    """
    span, deviation, blur = columns
    whole, largest, fewest, contrast, no_edge, softer, memory_seconds, gain = limits
    for row in range(slots.shape[0]):
        if not due[row]:
            continue
        slot, at = slots[row], pts[row]
        shorter = min(facts[_WIDTH, row], facts[_HEIGHT, row])
        lines = shorter / min(max(math.floor((shorter + whole // 2) / whole), 1.0), float(largest))
        scale = math.sqrt(whole / min(max(lines, float(fewest)), float(whole)))
        score, known = view[row, span] * scale, steepest[slot]
        if math.isnan(score):  # no edge: of a stream that never had one nothing is known to be lost
            score = no_edge if view[row, deviation] >= contrast and not math.isnan(known) else 0.0
        step = at - last[slot]
        if not step > 0.0:  # NaN too
            step = 0.0
        known = score if math.isnan(known) else known + (score - known) * (1.0 - math.exp(-step / memory_seconds))
        known = min(known, score)
        if score > 0.0:
            steepest[slot], last[slot] = known, at
        usual = known if known > 0.0 else 1.0
        view[row, blur] = score * min(max(score / (softer * usual), 1.0 / softer), 1.0)
        set_pace(state, slot, next_look(aim, view, row, slot, at), gain)


@compiled
def fold_texture(view, columns, facts, slots, pts, due, known, jumped, limits, state, aim):
    """Texture.fill on the host.

    Args:
        view, slots, pts, due, state, aim: as for `fold_area`.
        columns: gradient, u_mean, v_mean, saturation, u_gradient, v_gradient, out_of_range, out_of_tolerance, combing,
            chroma_loss, combing_since, chroma_loss_since, texture_since.
        facts: (len(Fact), N) float64.
        known: (14, S) float64: saturation of the last colourful picture, loss of colour, combing of the last picture
            and of the one before it, when they were, what is combed, how many are still to be looked at because of it,
            and since when; since when the means of U and of V are grey, and those means; since when the colour is
            mostly gone.
        jumped: (S,) float64: when a picture last changed at once.
        limits: colourful, empty gradient, lost gradient, lowest and highest chroma, combed, interval then, gain; how
            many pictures are looked at at once, how long they rest then, and the most credit; how far from grey a plane
            that is lost is at most, how far it went there at once, and the most that it is dated back; the most
            that others are, by a picture that changed at once; the share of the colour that is most of it, and the
            most that a loss is dated back by it.
    """
    gradient, u, v, saturation, u_steps, v_steps = columns[:6]
    out_of_range, out_of_tolerance, combing, chroma_loss, since, loss_since, changed_since = columns[6:]
    colourful, empty, lost, lowest, highest, combed = limits[:6]
    combed_seconds, gain, most_at_once, rest_seconds, burst, grey, to_grey, back_seconds, jump_seconds = limits[6:15]
    mostly, fade_seconds = limits[15:]
    for row in range(slots.shape[0]):
        if not due[row]:
            continue
        slot, at, own = slots[row], pts[row], view[row]
        # Nothing of full range can be outside; and who shows fields as they should be knows that there are two.
        own[out_of_range] *= 1.0 - facts[_FULL_RANGE, row]
        own[out_of_tolerance] *= 1.0 - facts[_FULL_RANGE, row]
        now, one, two = own[combing] * (1.0 - facts[_INTERLACED, row]), known[2, slot], known[3, slot]
        median = max(min(one, two), min(max(one, two), now))
        at_one, at_two, enough = known[4, slot], known[5, slot], known[6, slot]
        # NaN, of the first look, is not.
        back = at - jumped[slot] if jumped[slot] > at_one else 0.0
        own[changed_since] = back if back <= jump_seconds else 0.0
        is_combed = median >= enough
        # The first of the three that was as the median says.
        first = at_one
        if is_combed and two >= enough:
            first = at_two
        elif (one >= enough) != is_combed and (now >= enough) == is_combed:
            first = at
        own[combing], own[since] = median, at - first
        known[2, slot], known[3, slot], known[4, slot], known[5, slot] = now, one, at, at_one
        colour, loss, ago = own[saturation], known[1, slot], 0.0
        for plane, mean in enumerate((u, v)):
            if not abs(own[mean] - 0.5) < grey:  # NaN too
                known[9 + plane, slot] = np.nan
            elif not at >= known[9 + plane, slot]:  # NaN too
                known[9 + plane, slot] = at if abs(own[mean] - known[11 + plane, slot]) >= to_grey else np.nan
            known[11 + plane, slot] = own[mean]
        if not math.isnan(colour):
            impossible = min(own[u], own[v]) < lowest or max(own[u], own[v]) > highest
            less, more = min(own[u_steps], own[v_steps]), max(own[u_steps], own[v_steps])
            flat = own[u] if own[u_steps] <= own[v_steps] else own[v]
            one_flat = less < lost and more > 4.0 * lost
            plane_lost = (one_flat and (abs(flat - 0.5) < to_grey or known[0, slot] > 0.0)) or impossible
            # An empty card says nothing: what was lost before it is still lost.
            if impossible or not (own[gradient] < empty and colour < colourful):
                before = known[0, slot]
                faded = min(max(1.0 - colour / before, 0.0), 1.0) if before > 0.0 else 0.0
                loss = 1.0 if plane_lost else faded
                if plane_lost and not impossible:
                    ago_u, ago_v = at - known[9, slot], at - known[10, slot]
                    if own[u_steps] <= own[v_steps] and ago_u >= 0.0:
                        ago = ago_u
                    if own[v_steps] <= own[u_steps] and ago_v >= 0.0:
                        ago = max(ago, ago_v)
            if not (plane_lost or one_flat) and colour >= colourful:
                known[0, slot] = colour
        known[1, slot] = own[chroma_loss] = loss
        if loss < mostly:
            known[13, slot] = np.nan
        elif not at >= known[13, slot]:  # NaN too
            known[13, slot] = at - own[changed_since]
        faded = min(at - known[13, slot], fade_seconds) if at >= known[13, slot] else 0.0
        own[loss_since] = max(min(ago, back_seconds), faded)
        interval = next_look(aim, view, row, slot, at)
        if now >= combed and not abs(at - known[8, slot]) < rest_seconds:  # NaN too
            known[7, slot], known[8, slot] = most_at_once, at
        else:
            known[7, slot] = max(known[7, slot] - 1.0, 0.0)
        if now >= combed:
            interval = min(interval, combed_seconds)
        if known[7, slot] > 0.0:
            interval = 0.0
            grant(state, slot, burst)
        set_pace(state, slot, interval, gain)
