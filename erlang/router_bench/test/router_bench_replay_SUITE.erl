-module(router_bench_replay_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([the_frozen_side_runs_the_frozen_code_and_the_candidate_its_own/1,
         drivers_have_both_builds_in_turn/1,
         a_frozen_build_that_is_not_what_runs_fails_the_run/1,
         an_application_that_needs_the_bench_never_comes_from_the_frozen_build/1,
         a_library_of_the_machine_is_in_reach_of_both_sides/1,
         a_planted_fault_is_the_candidates_alone/1,
         the_orders_are_drawn_and_decided_by_the_seed/1,
         the_orders_of_a_seed_are_what_they_were_when_reports_were_written/1,
         of_as_many_slices_as_sides_each_side_has_each_place_once/1,
         orders_are_complementary_in_the_two_reports/1,
         both_sides_are_alive_together_and_nothing_of_the_idle_one_runs/1,
         a_router_that_cannot_live_twice_is_measured_one_side_after_the_other/1,
         one_side_that_fails_ends_the_run_and_both_reports_say_so/1,
         both_reports_are_on_disk_unfinished_while_the_run_goes_on/1,
         a_run_that_is_told_to_stop_ends_as_if_it_had_been_planned_so/1,
         a_run_of_one_side_is_told_too/1, nobody_is_asked_after_the_last_block/1,
         a_load_waits_for_whoever_looks_on_and_leaves_nothing/1,
         options_that_make_no_replay_are_refused/1]).

-define(COMMIT, <<"0123456789abcdef0123456789abcdef01234567">>).
-define(TREE, <<"89abcdef0123456789abcdef0123456789abcdef">>).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports),
          not lists:member(F, [module_info, init_per_suite, end_per_suite])].

%% Two builds of a router that differ in their answer: the frozen one's is always an error.
init_per_suite(Config) ->
    Dir = proplists:get_value(priv_dir, Config),
    Frozen = filename:join(Dir, "frozen"),
    Own = filename:join(Dir, "own"),
    ok = build(Frozen, "toy_twin", "{error, planned}"),
    ok = build(Own, "toy_twin", "ok"),
    true = code:add_patha(filename:join([Own, "toy_twin", "ebin"])),
    [{frozen, Frozen}, {own_ebin, filename:join([Own, "toy_twin", "ebin"])} | Config].

end_per_suite(Config) ->
    _ = code:del_path(proplists:get_value(own_ebin, Config)),
    _ = code:purge(toy_twin),
    _ = code:delete(toy_twin),
    ok.

build(LibDir, Name, Answer) ->
    build(LibDir, Name, Answer, "[kernel, stdlib]").

build(LibDir, Name, Answer, Needs) ->
    Ebin = filename:join([LibDir, Name, "ebin"]),
    Source = filename:join(Ebin, Name ++ ".erl"),
    ok = filelib:ensure_dir(Source),
    ok = file:write_file(Source, ["-module(", Name, ").\n-export([route/1]).\nroute(_) -> ", Answer,
                                  ".\n"]),
    {ok, _} = compile:file(Source, [{outdir, Ebin}]),
    file:write_file(filename:join(Ebin, Name ++ ".app"),
                    io_lib:format("{application, ~s, [{vsn, \"1\"}, {modules, [~s]}, "
                                  "{applications, ~s}]}.~n", [Name, Name, Needs])).

%% Two blocks of half a second.
options(Config, More) ->
    Replay = #{lib_dir => proplists:get_value(frozen, Config), commit => ?COMMIT, tree => ?TREE,
               report_file => file(Config, "frozen.json")},
    maps:merge(#{adapter => twin_adapter, blocks => 2, warmup_ms => 20, throughput_ms => 50,
                 latency_ms => 100, slice_ms => 10, rate_per_second => 1000, concurrency => 4, drain_timeout_ms => 300,
                 control => false, quiet => true, report_file => file(Config, "candidate.json"),
                 replay => Replay}, More).

file(Config, Name) ->
    filename:join(proplists:get_value(priv_dir, Config), Name).

run(Config, More) ->
    Files = [file(Config, Name) || Name <- ["frozen.json", "candidate.json"]],
    lists:foreach(fun file:delete/1, Files),
    router_bench:run(options(Config, More)).

frozen_json(Config) ->
    {ok, Json} = file:read_file(file(Config, "frozen.json")),
    Json.

says(Json, Pattern) ->
    re:run(Json, Pattern, [{capture, none}]) =:= match.

%% The numbers or words of a list in a report.
listed(Json, Key) ->
    {match, [List]} = re:run(Json, ["\"", Key, "\": \\[([^\\]]*)\\]"], [{capture, [1], list}]),
    string:lexemes(List, " ,\n").

the_frozen_side_runs_the_frozen_code_and_the_candidate_its_own(Config) ->
    {ok, #{metrics := #{errors_total := 0}, git := Git, pairing := #{role := candidate}}} =
        run(Config, #{}),
    false = maps:get(commit, Git, none) =:= ?COMMIT,
    Json = frozen_json(Config),
    % Two blocks with 100 arrivals each, and the closed loops.
    {match, [Errors]} = re:run(Json, "\"errors_total\": ([0-9]+)", [{capture, [1], list}]),
    true = list_to_integer(Errors) > 200,
    [true = says(Json, Pattern) || Pattern <- [?COMMIT, ?TREE, "\"dirty\": false",
                                               "\"role\": \"frozen\"", "\"status\": "]].

drivers_have_both_builds_in_turn(Config) ->
    {ok, #{metrics := #{errors_total := 0}, pairing := #{role := candidate, alive_together := true},
           blocks := [#{nodes := #{drivers := [_, _], routers := [_]},
                        latency := #{slices := #{went_first := Mine}}} | _],
           env := #{distributed := true}}} = run(Config, #{nodes => [local, local]}),
    Json = frozen_json(Config),
    {match, [Errors]} = re:run(Json, "\"errors_total\": ([0-9]+)", [{capture, [1], list}]),
    true = list_to_integer(Errors) > 200,
    [true = says(Json, Pattern) || Pattern <- [?COMMIT, "\"role\": \"frozen\"", "\"drivers\": 2", "\"nodes\": "]],
    [_ | _] = Mine.

a_frozen_build_that_is_not_what_runs_fails_the_run(Config) ->
    {ok, Build} = router_bench_frozen:load(proplists:get_value(frozen, Config), twin_adapter),
    {error, {not_frozen, toy_twin, Which}} = router_bench_frozen:check(Build),
    true = says(Which, "own/toy_twin"),
    % A module that something in front of the frozen build shadows: here another of its
    % applications.
    LibDir = file(Config, "shadowed"),
    ok = build(LibDir, "toy_twin", "{error, planned}"),
    Shadow = filename:join([LibDir, "a_shadow", "ebin"]),
    ok = filelib:ensure_dir(filename:join(Shadow, "any")),
    ok = file:write_file(filename:join(Shadow, "a_shadow.app"), "{application, a_shadow, []}."),
    {ok, _} = file:copy(code:which(toy_twin), filename:join(Shadow, "toy_twin.beam")),
    #{replay := Replay} = options(Config, #{}),
    {error, {failed, Reason, #{blocks := []}}} =
        run(Config, #{replay => Replay#{lib_dir := LibDir}}),
    true = says(Reason, "block 1, the frozen build: module toy_twin of the frozen build came from").

an_application_that_needs_the_bench_never_comes_from_the_frozen_build(Config) ->
    LibDir = file(Config, "with_bench"),
    ok = build(LibDir, "toy_twin", "ok"),
    ok = build(LibDir, "toy_bench_part", "ok", "[router_bench]"),
    ok = build(LibDir, "router_bench", "ok"),
    Own = file(Config, "own_bench"),
    ok = build(Own, "toy_bench_part", "ok", "[router_bench]"),
    Ebin = filename:join([Own, "toy_bench_part", "ebin"]),
    true = code:add_patha(Ebin),
    try
        {ok, #{applications := Applications} = Build} =
            router_bench_frozen:load(LibDir, twin_adapter),
        [toy_twin] = maps:keys(Applications),
        true = lists:member(Ebin, router_bench_frozen:code_path(Build)),
        % Nothing of the candidate's router is in reach.
        OwnRouter = filename:dirname(code:which(toy_twin)),
        false = lists:member(OwnRouter, router_bench_frozen:code_path(Build)),
        true = lists:member(OwnRouter, router_bench_frozen:code_path(own))
    after
        code:del_path(Ebin)
    end.

a_library_of_the_machine_is_in_reach_of_both_sides(Config) ->
    Libraries = file(Config, "libraries"),
    [ok, ok] = [build(Libraries, Name, "ok") || Name <- ["machine_library", "toy_twin"]],
    [Library, Twin] = [filename:join([Libraries, Name, "ebin"])
                       || Name <- ["machine_library", "toy_twin"]],
    ok = code:add_pathsz([Library, Twin]),
    true = os:putenv("ERL_LIBS", Libraries),
    try
        {ok, Build} = router_bench_frozen:load(proplists:get_value(frozen, Config), twin_adapter),
        [true, false] = [lists:member(Dir, router_bench_frozen:code_path(Build))
                         || Dir <- [Library, Twin]],
        true = lists:member(Library, router_bench_frozen:code_path(own))
    after
        true = os:unsetenv("ERL_LIBS"),
        _ = [code:del_path(Dir) || Dir <- [Library, Twin]]
    end.

a_planted_fault_is_the_candidates_alone(Config) ->
    {ok, #{run := #{planted_fault := <<"delay_us=3">>}}} = run(Config, #{fault => "delay_us=3"}),
    false = says(frozen_json(Config), "planted_fault").

the_orders_are_drawn_and_decided_by_the_seed(_Config) ->
    Blocks = lists:seq(1, 400),
    Boots = [frozen_boots_first(7, N) || N <- Blocks],
    Boots = [frozen_boots_first(7, N) || N <- Blocks],
    % 400 tosses of a fair coin: within six standard deviations of a half.
    true = abs(length([first || true <- Boots]) - 200) < 60,
    [begin
         Orders = [frozen_goes_first(7, N, Loop, 20) || N <- Blocks],
         [[true = A =/= B || {A, B} <- twos(Order)] || Order <- Orders],
         true = length(lists:usort(Orders)) > 300,
         true = abs(length([first || [true | _] <- Orders]) - 200) < 60,
         % More slices do not change the order of those before them.
         [true = lists:prefix(frozen_goes_first(7, 3, Loop, Count), lists:nth(3, Orders))
          || Count <- lists:seq(1, 20)]
     end || Loop <- [closed, open]],
    false = [frozen_boots_first(8, N) || N <- Blocks] =:= Boots.

%% Of two sides.
frozen_boots_first(Seed, Block) ->
    hd(router_bench_orders:boots(Seed, Block, 2)) =:= 1.

frozen_goes_first(Seed, Block, Loop, Slices) ->
    [hd(Order) =:= 1 || Order <- router_bench_orders:turns(Seed, Block, Loop, Slices, 2)].

the_orders_of_a_seed_are_what_they_were_when_reports_were_written(_Config) ->
    [true, false, true, false, false, false, false, false, true, true, false, false] =
        [frozen_boots_first(7, N) || N <- lists:seq(1, 12)],
    [false, true, true, false, true] = frozen_goes_first(7, 1, closed, 5),
    [true, false, true, false, false] = frozen_goes_first(7, 2, open, 5),
    110209920 = erlang:phash2([{frozen_boots_first(Seed, N),
                                [frozen_goes_first(Seed, N, Loop, 21) || Loop <- [closed, open]]}
                               || Seed <- [0, 1, 7, 4294967295], N <- lists:seq(1, 40)]).

of_as_many_slices_as_sides_each_side_has_each_place_once(_Config) ->
    [begin
         All = lists:seq(1, Sides),
         Turns = router_bench_orders:turns(Seed, Block, Loop, 3 * Sides, Sides),
         All = lists:sort(router_bench_orders:boots(Seed, Block, Sides)),
         [[All = lists:sort([lists:nth(Place, Order) || Order <- Round]) || Place <- All]
          || Round <- rounds(Sides, Turns)],
         [All = lists:sort(Order) || Order <- Turns],
         true = lists:prefix(router_bench_orders:turns(Seed, Block, Loop, Sides + 1, Sides), Turns)
     end || Sides <- [1, 2, 3, 5, 8], Seed <- [1, 2], Block <- [1, 2, 3], Loop <- [closed, open]],
    % Every order of three is drawn: 600 draws, each of six about 100 times.
    Drawn = [router_bench_orders:boots(3, Block, 3) || Block <- lists:seq(1, 600)],
    [true = abs(length([same || Other <- Drawn, Other =:= Order]) - 100) < 55
     || Order <- lists:usort(Drawn)],
    6 = length(lists:usort(Drawn)).

rounds(_Sides, []) -> [];
rounds(Sides, Turns) ->
    {Round, Rest} = lists:split(Sides, Turns),
    [Round | rounds(Sides, Rest)].

twos([]) -> [];
twos([A, B | Rest]) -> [{A, B} | twos(Rest)].

orders_are_complementary_in_the_two_reports(Config) ->
    {ok, #{pairing := #{seed := 9, booted_first := BootedFirst, alive_together := true},
           blocks := Blocks}} = run(Config, #{blocks => 3, seed => 9}),
    BootedFirst = [not frozen_boots_first(9, N) || N <- [1, 2, 3]],
    BootedFirst = [Text =:= "false" || Text <- listed(frozen_json(Config), "booted_first")],
    % The plan has slices of 10 ms: 5 of the closed loop; a thousand arrivals take longer than
    % the open loop, so that is one slice.
    Frozen = all_listed(frozen_json(Config), "went_first"),
    Candidate = [Order || #{latency := #{slices := #{went_first := Open, p99_ns := [_]}},
                            throughput := #{slices := #{went_first := Closed, ok := [_, _, _, _, _]}}}
                              <- Blocks,
                          Order <- [Closed, Open]],
    6 = length(Candidate),
    % The file has blocks in order, and in a block the keys in that of the format.
    Frozen = [[atom_to_list(not First) || First <- Order] || Order <- Candidate].

%% The same of every list of that name.
all_listed(Json, Key) ->
    {match, Lists} = re:run(Json, ["\"", Key, "\": \\[([^\\]]*)\\]"],
                            [global, {capture, [1], list}]),
    [string:lexemes(List, " ,\n") || [List] <- Lists].

both_sides_are_alive_together_and_nothing_of_the_idle_one_runs(Config) ->
    % The adapter of each side appends to one file: its instance at start, and at the end.
    Log = file(Config, "instances.log"),
    _ = file:delete(Log),
    {ok, #{blocks := [#{idle_cpu_pct := Idle}]}} =
        run(Config, #{blocks => 1, adapter_options => #{log => Log}, throughput_ms => 500,
                      slice_ms => 50}),
    {ok, <<"start 1\nstart 2\nend 2\nend 1\n">>} = sorted_ends(file:read_file(Log)),
    % Both sides took equal turns; a side that worked all the time would be at 100 and more.
    true = Idle < 50.

%% Which of the two ends first does not matter.
sorted_ends({ok, Text}) ->
    {Starts, Ends} = lists:split(2, string:lexemes(binary_to_list(Text), "\n")),
    {ok, iolist_to_binary([[Line, "\n"] || Line <- Starts ++ lists:reverse(lists:sort(Ends))])}.

a_router_that_cannot_live_twice_is_measured_one_side_after_the_other(Config) ->
    Log = file(Config, "one_by_one.log"),
    _ = file:delete(Log),
    {ok, #{pairing := #{alive_together := false}}} =
        run(Config, #{blocks => 1, adapter => lonely_adapter, adapter_options => #{log => Log}}),
    {ok, <<"start 1\nend 1\nstart 1\nend 1\n">>} = file:read_file(Log).

one_side_that_fails_ends_the_run_and_both_reports_say_so(Config) ->
    [begin
         LibDir = file(Config, "fails"),
         ok = build(LibDir, "toy_twin", case Role of "frozen" -> "surprise"; _ -> "ok" end),
         #{replay := Replay} = options(Config, #{}),
         {error, {failed, Reason, #{run := #{status := failed}, blocks := [],
                                    pairing := #{booted_first := []}}}} =
             run(Config, More#{replay => Replay#{lib_dir := LibDir}}),
         true = says(Reason, Side),
         Json = frozen_json(Config),
         true = says(Json, "\"status\": \"failed\""),
         true = says(Json, Side),
         [] = listed(Json, "booted_first")
     end || {Role, Side, More} <- [{"frozen", "block 1, the frozen build: ", #{}},
                                   {"candidate", "block 1, the candidate: ",
                                    #{fault => "crash_after=10"}}]].

both_reports_are_on_disk_unfinished_while_the_run_goes_on(Config) ->
    Read = fun(_) ->
                   [{ok, _} = file:read_file(file(Config, Name))
                    || Name <- ["frozen.json", "candidate.json"]]
           end,
    Case = self(),
    {ok, _} = run(Config, #{blocks => 2,
                            after_block => fun(1) -> Case ! {on_disk, Read(1)}, go_on end}),
    receive
        {on_disk, Both} ->
            [begin
                 true = says(Json, "\"status\": \"unfinished\""),
                 true = says(Json, "\"p95_ns\"")
             end || {ok, Json} <- Both]
    end.

a_run_that_is_told_to_stop_ends_as_if_it_had_been_planned_so(Config) ->
    {ok, #{blocks := [_], load := #{blocks := 1}, pairing := #{booted_first := [_]},
           run := #{status := insufficient_samples}}} =
        run(Config, #{blocks => 9, after_block => fun(1) -> stop end}),
    Json = frozen_json(Config),
    [_] = listed(Json, "booted_first"),
    true = says(Json, "\"blocks\": 1,").

a_run_of_one_side_is_told_too(Config) ->
    {ok, #{blocks := [_], load := #{blocks := 1}} = Report} =
        run(Config, #{replay => none, blocks => 9, after_block => fun(1) -> stop end}),
    false = is_map_key(pairing, Report).

nobody_is_asked_after_the_last_block(Config) ->
    Case = self(),
    {ok, #{blocks := [_, _, _]}} =
        run(Config, #{blocks => 3, after_block => fun(N) -> Case ! {asked, N}, go_on end}),
    Asked = fun Asked() -> receive {asked, N} -> [N | Asked()] after 0 -> [] end end,
    [1, 2] = Asked().

%% A perf of nobody: what it would see is that the BEAMs are there, with the names of their functions.
a_load_waits_for_whoever_looks_on_and_leaves_nothing(Config) ->
    GoOn = fun(_) -> go_on end,
    {{ok, #{frozen := Frozen, candidate := Candidate}}, [{warm, Both}, loaded]} =
        loaded(Config, twin_adapter, GoOn),
    true = Frozen > 0 andalso Candidate > 0,
    [candidate, frozen] = lists:sort(maps:keys(Both)),
    {{ok, #{frozen := _, candidate := _}}, [{warm, First}, loaded, {warm, Second}, loaded]} =
        loaded(Config, lonely_adapter, GoOn),
    {[frozen], [candidate]} = {maps:keys(First), maps:keys(Second)},
    {{error, {load, frozen, stopped}}, [{warm, _}]} = loaded(Config, twin_adapter, fun(_) -> stop end),
    {{error, {load, frozen, stopped}}, [{warm, _}, loaded]} =
        loaded(Config, twin_adapter, fun({warm, _}) -> go_on; (loaded) -> stop end).

loaded(Config, Adapter, Answer) ->
    Log = file(Config, "loaded.log"),
    {ok, Plan} = router_bench_plan:new(options(Config, #{adapter => Adapter, adapter_options => #{log => Log},
                                                         progress => fun(_) -> ok end})),
    Self = self(),
    Loaded = router_bench_load:run(Plan, fun(What) ->
        _ = [true = is_alive(OsPid) andalso has_names(OsPid) || OsPid <- os_pids(What)],
        Self ! {asked, What},
        Answer(What)
    end),
    Asked = (fun All() -> receive {asked, What} -> [What | All()] after 0 -> [] end end)(),
    _ = [false = is_alive(OsPid) orelse filelib:is_file(names(OsPid))
         || What <- Asked, OsPid <- os_pids(What)],
    {Loaded, Asked}.

os_pids({warm, OsPids}) -> maps:values(OsPids);
os_pids(loaded) -> [].

is_alive(OsPid) -> os:cmd("kill -0 " ++ OsPid ++ " 2>/dev/null && echo alive") =/= "".

names(OsPid) -> "/tmp/perf-" ++ OsPid ++ ".map".

%% Which only the JIT writes, and only for Linux.
has_names(OsPid) ->
    filelib:is_file(names(OsPid)) orelse erlang:system_info(emu_flavor) =/= jit
        orelse os:type() =/= {unix, linux}.

options_that_make_no_replay_are_refused(Config) ->
    #{replay := Replay} = Options = options(Config, #{}),
    [begin
         {error, {bad_option, replay, _, _} = Reason} =
             router_bench_plan:new(Options#{replay := Bad}),
         true = says(router_bench_plan:message(Reason), Expected)
     end || {Bad, Expected} <- [{#{}, "a map with lib_dir"},
                                {Replay#{commit := <<"--output=x">>}, "40 lower"},
                                {Replay#{commit := <<?COMMIT/binary, "\n">>}, "40 lower"},
                                {Replay#{tree := "../.."}, "40 lower"},
                                {Replay#{more => 1}, "no key more"},
                                {Replay#{lib_dir := file(Config, "none")}, "no application"},
                                {Replay#{report_file := file(Config, "candidate.json")},
                                 "other than"}]],
    [{error, {bad_option, after_block, _, _}} =
         router_bench_plan:new(Options#{after_block => Bad})
     || Bad <- [go_on, fun() -> stop end, "x"]].
