"""What takes the cores counts as load, whoever it is, unless it gives way."""

from engine.machine_load import MachineLoad

HEAD = "cpu  9 9 9 9 9 9 9 9 0 0\n"


def line(core, user=0, nice=0, system=0, idle=0, waiting=0, irq=0, soft=0, stolen=0):
    return f"cpu{core} {user} {nice} {system} {idle} {waiting} {irq} {soft} {stolen} 0 0\n"


def looked(tmp_path, own, *lines, cores=frozenset((0, 1))):
    stat = tmp_path / "stat"
    stat.write_text(HEAD + line(0) + line(1) + line(10))
    load = MachineLoad(stat, cores)
    stat.write_text(HEAD + "".join(lines))
    return load.load(own)


def test_the_share_is_that_of_the_cores_it_may_use_whoever_takes_them(tmp_path):
    lines = line(0, user=50, system=20, irq=4, soft=4, stolen=2, idle=15, waiting=5), line(1, user=60, idle=40)
    assert looked(tmp_path, 0.5, *lines, line(10, user=100)) == 0.7


def test_what_runs_nice_gives_way(tmp_path):
    assert looked(tmp_path, 0.2, line(0, user=30, nice=70), line(1, user=30, nice=70)) == 0.3


def test_an_engine_that_takes_little_is_not_what_a_busy_machine_has_too_much_of(tmp_path):
    assert looked(tmp_path, 0.1, line(0, user=100), line(1, user=100)) == 0.2


def test_an_engine_whose_loop_is_busy_is_busy_on_an_idle_machine(tmp_path):
    assert looked(tmp_path, 0.9, line(0, user=10, idle=90), line(1, idle=100)) == 0.9


def test_waiting_counts_while_cores_are_free(tmp_path):
    for idle, wanted in ((50, 0.9), (5, 0.4)):
        stat = tmp_path / "stat"
        stat.write_text(line(0))
        load = MachineLoad(stat, frozenset((0,)))
        stat.write_text(line(0, user=20, nice=80 - idle, system=20 - idle // 5, idle=idle + idle // 5))
        assert load.load(0.4, 0.9) == wanted


def test_each_look_is_at_the_time_since_the_last_one(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text(line(0, user=100))
    load = MachineLoad(stat, frozenset((0,)))
    stat.write_text(line(0, user=150, idle=50))
    assert load.load(0.4) == 0.5
    stat.write_text(line(0, user=150, idle=150))
    assert load.load(0.0) == 0.0
    assert load.load(0.4) == 0.4  # nothing to go by


def test_a_machine_that_says_nothing_is_judged_by_the_engine_alone(tmp_path):
    assert MachineLoad(tmp_path / "none", frozenset((0,))).load(0.6) == 0.6


def told(folder, pid, name, user, system):
    (folder / str(pid)).mkdir(exist_ok=True)
    (folder / str(pid) / "stat").write_text(
        f"{pid} ({name}) S 1 1 1 0 -1 4194560 5 6 7 8 {user} {system} 90 91 20 0 1 0"
    )


def test_what_the_service_does_not_take_is_others(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text(line(0, user=100))
    told(tmp_path, 7, "python", 40, 2)
    told(tmp_path, 8, "a) b (c", 10, 0)
    load = MachineLoad(stat, frozenset((0,)))
    load.load(0.3, service=(7, 8))
    stat.write_text(line(0, user=170, nice=20, system=10, idle=100))
    told(tmp_path, 7, "python", 70, 4)
    told(tmp_path, 8, "a) b (c", 18, 0)
    load.load(0.3, service=(7, 8, 9))
    assert load.others == (80 - 40) / 200


def test_of_a_process_that_has_come_or_gone_since_the_last_look_nothing_counts(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text(line(0))
    told(tmp_path, 7, "python", 5000, 0)
    load = MachineLoad(stat, frozenset((0,)))
    load.load(0.3, service=(6,))
    stat.write_text(line(0, user=50, idle=50))
    load.load(0.3, service=(7,))
    assert load.others == 0.5
    stat.write_text(line(0, user=60, idle=140))
    load.load(0.3, service=(8,))
    assert load.others == 0.1
