-module(router_bench_explain_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([calls_of_a_request_are_exact/1, functions_are_the_projects_or_not/1,
         own_time_is_of_the_function_that_takes_it/1, both_sides_route_the_same_requests/1,
         work_of_the_vm_is_of_the_pass/1, messages_are_named_and_weighed/1,
         tables_and_processes_are_named_and_weighed/1, reasons_come_with_a_sample/1,
         a_planted_fault_is_the_candidates_alone/1, a_flood_of_messages_is_cut_off/1,
         a_router_that_fails_is_a_sentence/1, a_plan_without_a_frozen_build_is_refused/1,
         nothing_outlives_the_time_limit/1, what_a_build_tool_fetched_is_not_the_projects/1,
         locks_are_added_up_by_class/1, the_middle_is_of_an_odd_or_even_number/1]).

-define(COMMIT, <<"0123456789abcdef0123456789abcdef01234567">>).
-define(WORKERS, 4).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports),
          not lists:member(F, [module_info, init_per_suite, end_per_suite])].

%% Both builds are explained once, for all tests that only look at what came of it.
init_per_suite(Config) ->
    Dir = proplists:get_value(priv_dir, Config),
    Frozen = filename:join(Dir, "explained_frozen"),
    Own = filename:join(Dir, "explained_own"),
    ok = build(Frozen, frozen()),
    ok = build(Own, candidate()),
    Ebin = filename:join([Own, "toy_explained", "ebin"]),
    true = code:add_patha(Ebin),
    Built = [{frozen, Frozen}, {own_ebin, Ebin} | Config],
    {ok, Profiles} = explain(Built, #{}),
    {ok, _Json} = router_bench_nif:event_encode(#{explained => Profiles}),
    [{profiles, Profiles} | Built].

end_per_suite(Config) ->
    _ = code:del_path(proplists:get_value(own_ebin, Config)),
    _ = code:purge(toy_explained),
    _ = code:delete(toy_explained),
    ok.

build(LibDir, Source) ->
    Ebin = filename:join([LibDir, "toy_explained", "ebin"]),
    File = filename:join(Ebin, "toy_explained.erl"),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, Source),
    {ok, _} = compile:file(File, [{outdir, Ebin}]),
    file:write_file(filename:join(Ebin, "toy_explained.app"),
                    "{application, toy_explained, [{vsn, \"1\"}, {modules, [toy_explained]}, "
                    "{applications, [kernel, stdlib]}]}.\n").

%% A server that answers, and a table that grows by a row with each request.
common(Kind) ->
    ["-module(toy_explained).
-export([start/0, route/2, hash/1]).
start() ->
    Caller = self(),
    spawn(fun() ->
        true = register(toy_explained_server, self()),
        toy_explained_rows = ets:new(toy_explained_rows, [named_table, public, ", Kind, "]),
        Caller ! started,
        serve()
    end),
    receive started -> ok end.
serve() ->
    receive
        {From, _What} -> From ! answered;
        _ -> ok
    end,
    serve().
hash(N) -> erlang:phash2(N).
keep(N) -> ets:insert(toy_explained_rows, {make_ref(), N}).
"].

frozen() ->
    [common("set"), "
route(nothing, N) -> hash(N), true = keep(N), ok;
route(_Does, _N) -> timer:sleep(20), ok.
"].

%% Nine hashes for one, of which a process of its own does the last; a detour; time; and failures.
candidate() ->
    [common("ordered_set, {read_concurrency, true}"), "
route(nothing, N) ->
    hash(N), hash(N), hash(N), hash(N), hash(N), hash(N), hash(N), hash(N),
    0 = spin(300),
    {_, Monitor} = spawn_monitor(fun() -> hash(N) end),
    receive {'DOWN', Monitor, process, _, _} -> ok end,
    toy_explained_server ! {self(), lists:seq(1, 500)},
    receive answered -> ok end,
    true = keep(N),
    outcome(N rem 10);
route(flood, N) -> flood(20000, N);
route(hang, _N) -> receive never -> ok end;
route(halt, _N) -> halt();
route(kill, _N) -> exit(whereis(toy_explained_server), kill), timer:sleep(1000);
route(fail, _N) -> error(always).
outcome(0) -> {error, planned};
outcome(1) -> {rejected, full};
outcome(2) -> error(broken);
outcome(_) -> ok.
spin(0) -> 0;
spin(N) -> spin(N - 1).
flood(0, _N) -> ok;
flood(Left, N) -> toy_explained_server ! N, flood(Left - 1, N).
"].

explain(Config, More) ->
    {ok, Plan} = router_bench_plan:new(maps:merge(options(Config), More)),
    router_bench_explain:run(Plan).

options(Config) ->
    #{adapter => explained_adapter, concurrency => ?WORKERS, timeout_ms => 100000,
      replay => #{lib_dir => proplists:get_value(frozen, Config), commit => ?COMMIT,
                  report_file => "none"}}.

profiles(Config) ->
    #{frozen := Frozen, candidate := Candidate} = proplists:get_value(profiles, Config),
    [Frozen, Candidate].

function(Name, #{functions := Functions}) ->
    [Found] = [F || #{module := <<"toy_explained">>, function := N} = F <- Functions, N =:= Name],
    Found.

the(Name, Rows) ->
    [Row] = [Row || #{name := N} = Row <- Rows, N =:= Name],
    Row.

calls_of_a_request_are_exact(Config) ->
    [#{requests := Requests} = Frozen, Candidate] = profiles(Config),
    Calls = fun(Name, Profile) -> maps:get(calls, function(Name, Profile)) end,
    [Requests = Calls(Name, Profile) || Name <- [<<"route">>, <<"keep">>], Profile <- [Frozen, Candidate]],
    Requests = Calls(<<"hash">>, Frozen),
    {Requests, Nine, Spun} = {Requests, 9 * Requests, 301 * Requests},
    Nine = Calls(<<"hash">>, Candidate),
    Spun = Calls(<<"spin">>, Candidate),
    Requests = Calls(<<"-route/2-fun-0-">>, Candidate).

functions_are_the_projects_or_not(Config) ->
    [#{requests := Requests} = Frozen, #{functions := Functions}] = profiles(Config),
    #{is_own := true} = function(<<"hash">>, Frozen),
    Of = fun(Module, Name) ->
                 [F || #{module := M, function := N} = F <- Functions, M =:= Module, N =:= Name]
         end,
    % What the project calls is seen too, and of the bench nothing.
    [#{is_own := false, calls := Inserts}] = Of(<<"ets">>, <<"insert">>),
    true = Inserts >= Requests,
    [#{is_own := false, calls := Requests}] = Of(<<"explained_adapter">>, <<"route">>),
    [] = [M || #{module := M} <- Functions, M =/= <<"router_bench_fault">>,
               binary:match(M, <<"router_bench">>) =/= nomatch],
    [] = Of(<<"explained_adapter">>, <<"request">>),
    % Nor of what traces.
    [] = [N || #{function := N} <- Functions, binary:match(N, <<"trace">>) =/= nomatch].

%% What waits for another process is taken off its scheduler, and counts as longer where others want that: `spin',
%% which never waits, has some three times the time of what does.
own_time_is_of_the_function_that_takes_it(Config) ->
    [_, #{functions := Functions, functions_left_out := 0}] = profiles(Config),
    [#{function := <<"spin">>} | _] = [F || #{is_own := true} = F <- Functions],
    Times = [Us || #{own_us := Us} <- Functions],
    Times = lists:reverse(lists:sort(Times)),
    HasWords = lists:all(fun(F) -> is_map_key(words, F) end, Functions),
    HasWords = router_bench_trace:has(call_memory).

both_sides_route_the_same_requests(Config) ->
    [#{requests := Requests, workers := ?WORKERS, tables := One}, 
     #{requests := Requests, workers := ?WORKERS, tables := Other}] = profiles(Config),
    #{rows := Rows} = the(<<"toy_explained_rows">>, One),
    #{rows := Rows} = the(<<"toy_explained_rows">>, Other),
    % All passes together.
    true = Rows > 5 * Requests.

work_of_the_vm_is_of_the_pass(Config) ->
    lists:foreach(fun(#{requests := Requests, routing_us := RoutingUs, traced_routing_us := TracedUs,
                        work := Work, long_runs := Long}) ->
                          true = RoutingUs > 0 andalso TracedUs > 0,
                          #{wall_us := WallUs, reductions := Reductions, context_switches := Switches,
                            scheduler_us := Us} = Work,
                          true = WallUs > 0 andalso Reductions > Requests andalso Switches > 0,
                          [aux, check_io, emulator, gc, other, port, sleep] = lists:sort(maps:keys(Us)),
                          true = maps:get(emulator, Us) > 0,
                          true = lists:all(fun(#{longest_ms := Ms, at_least_ms := Least}) -> Ms >= Least end,
                                           Long)
                  end, profiles(Config)).

messages_are_named_and_weighed(Config) ->
    [#{messages := None}, #{messages := Messages}] = profiles(Config),
    Caller = <<"explained_adapter:route/2">>,
    Server = <<"toy_explained_server">>,
    [] = [M || #{to := To} = M <- None, To =:= Server],
    [#{count := Sampled, requests := Sampled, words := Words, words_max := Most}] =
        [M || #{from := From, to := To} = M <- Messages, From =:= Caller, To =:= Server],
    % A list of 500 and a pair.
    Most = 500 * 2 + 3,
    Words = Sampled * Most,
    [#{count := Sampled, words := 0}] =
        [M || #{from := From, to := To} = M <- Messages, From =:= Server, To =:= Caller].

tables_and_processes_are_named_and_weighed(Config) ->
    [#{tables := OneTables, processes := One, memory := Memory},
     #{tables := OtherTables, processes := Other}] = profiles(Config),
    #{kind := set, owner := <<"toy_explained_server">>, count := 1, bytes := Bytes, read_concurrency := false} =
        the(<<"toy_explained_rows">>, OneTables),
    true = Bytes > 0 andalso maps:get(ets, Memory) >= Bytes,
    [atom, binary, code, ets, processes, system, total] = lists:sort(maps:keys(Memory)),
    #{total := Total, processes := OfProcesses, system := System} = Memory,
    Total = OfProcesses + System,
    #{kind := ordered_set, read_concurrency := true} = the(<<"toy_explained_rows">>, OtherTables),
    [] = [Name || #{name := Name} <- OtherTables, binary:match(Name, <<"router_bench">>) =/= nomatch],
    #{count := 1, is_own := true, reductions := Few} = the(<<"toy_explained_server">>, One),
    #{count := 1, is_own := true, reductions := Many, running_us := RunningUs} =
        the(<<"toy_explained_server">>, Other),
    true = Many > Few andalso RunningUs > 0,
    #{count := 0, is_own := false, reductions := OfCallers} = the(<<"explained_adapter:route/2">>, Other),
    true = OfCallers > 0,
    % What had ended when it was counted is known by what it ran.
    #{count := 0, is_own := true} = the(<<"toy_explained:-route/2-fun-0-/1">>, Other).

reasons_come_with_a_sample(Config) ->
    [#{reasons := []}, #{requests := Requests, reasons := Reasons}] = profiles(Config),
    Count = fun(Rest) -> length([N || N <- lists:seq(0, Requests - 1), N rem 10 =:= Rest]) end,
    Expected = lists:sort([{error, <<"planned">>, Count(0)}, {rejected, <<"full">>, Count(1)},
                           {error, <<"error:broken">>, Count(2)}]),
    Expected = lists:sort([{Outcome, Reason, N} || #{outcome := Outcome, reason := Reason, count := N}
                                                       <- Reasons]),
    [Sample] = [S || #{reason := <<"error:broken">>, sample := S} <- Reasons],
    match = re:run(Sample, "broken in toy_explained:", [{capture, none}]).

a_planted_fault_is_the_candidates_alone(Config) ->
    {ok, #{frozen := #{functions := One}, candidate := #{functions := Other, requests := Requests}}} =
        explain(Config, #{fault => "delay_us=50"}),
    Planted = fun(Functions) ->
                      [Calls || #{module := <<"router_bench_fault">>, function := <<"-plant/2-fun-0-">>,
                                  calls := Calls} <- Functions]
              end,
    {[], [Requests]} = {Planted(One), Planted(Other)}.

%% 20,000 messages of a request are more than anybody wants to hear of.
a_flood_of_messages_is_cut_off(Config) ->
    {ok, #{candidate := #{messages := Messages}}} =
        explain(Config, #{adapter_options => #{does => flood}}),
    Seen = lists:sum([Count || #{count := Count} <- Messages]),
    true = Seen =< 100000.

a_router_that_fails_is_a_sentence(Config) ->
    Says = fun(Does) ->
                   {error, Reason} = explain(Config, #{adapter_options => #{does => Does},
                                                       callback_timeout_ms => 3000}),
                   router_bench_failure:sentence(Reason)
           end,
    [match = re:run(Says(Does), ["^while the candidate was traced: ", Pattern], [{capture, none}])
     || {Does, Pattern} <- [{hang, "requests were not answered in 3 s, in toy_explained:route/2"},
                            {halt, "the measured BEAM .* ended all at once"},
                            {kill, "the router's process toy_explained_server died of killed"}]],
    % One that always fails is no such router: what it says is what is asked for.
    {ok, #{candidate := #{requests := Requests, reasons := [#{reason := <<"error:always">>,
                                                               count := Requests}]}}} =
        explain(Config, #{adapter_options => #{does => fail}}),
    ok.

a_plan_without_a_frozen_build_is_refused(Config) ->
    {error, Reason} = explain(Config, #{replay => none}),
    <<"there is no frozen build to compare with">> = router_bench_failure:sentence(Reason).

nothing_outlives_the_time_limit(Config) ->
    {links, Before} = process_info(self(), links),
    {error, {explain, Side, timeout}} =
        explain(Config, #{adapter_options => #{does => hang}, timeout_ms => 2000}),
    true = lists:member(Side, [frozen, candidate]),
    {links, After} = process_info(self(), links),
    [] = After -- Before.

what_a_build_tool_fetched_is_not_the_projects(Config) ->
    Root = filename:join(proplists:get_value(priv_dir, Config), "tree"),
    Made = fun(Module, SourceDir) ->
                   Ebin = filename:join([Root, "_build", "default", "lib", Module, "ebin"]),
                   Source = filename:join([Root | SourceDir]) ++ "/" ++ Module ++ ".erl",
                   ok = filelib:ensure_dir(Source),
                   ok = filelib:ensure_dir(filename:join(Ebin, "any")),
                   ok = file:write_file(Source, ["-module(", Module, ").\n"]),
                   {ok, _} = compile:file(Source, [{outdir, Ebin}]),
                   true = code:add_pathz(Ebin),
                   Ebin
           end,
    Dirs = [Made("toy_of_project", ["apps", "toy_of_project", "src"]),
            Made("toy_fetched", ["_build", "default", "lib", "toy_fetched", "src"]),
            % As a frozen commit is built.
            Made("toy_frozen", ["_build", "replay", ".building.x", "source", "apps", "toy_frozen", "src"])],
    try
        Scope = router_bench_scope:new(Dirs),
        [true, false, true, false, false] =
            [router_bench_scope:is_own(Module, Scope)
             || Module <- [toy_of_project, toy_fetched, toy_frozen, lists, erlang]]
    after
        lists:foreach(fun code:del_path/1, Dirs)
    end.

%% As erts_debug:lcnt_collect/0 gives them.
locks_are_added_up_by_class(_Config) ->
    Place = fun(Tries, Collisions, S, Ns) ->
                    {{<<"erl.c">>, 7}, {Tries, Collisions, {S, Ns, Collisions}}, {0, 0, 0}}
            end,
    Locks = [{db_tab, toy, rw_mutex, [Place(10, 1, 0, 5000), Place(5, 1, 1, 0)]},
             {proc_main, self(), proclock, [Place(1, 0, 0, 0)]},
             {proc_main, self(), proclock, [Place(2, 0, 0, 999)]}],
    [#{name := <<"db_tab toy">>, tries := 15, collisions := 2, waited_us := 1000005},
     #{name := <<"proc_main">>, tries := 3, collisions := 0, waited_us := 0}] =
        router_bench_work:locks([{duration, {1, 2}}, {locks, Locks}]).

the_middle_is_of_an_odd_or_even_number(_Config) ->
    [2, 1, 1] = [router_bench_trace:median(Values) || Values <- [[3, 1, 2], [2, 1], [1]]].
