%% What the bench does to a VM and to a host that are not its own.
-module(router_bench_manners_SUITE).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([an_epmd_of_the_routers_boot_does_not_outlive_the_run_and_the_report_says_node/1,
         an_epmd_that_ran_before_stays/1,
         a_stopped_run_takes_the_epmd_along/1,
         a_router_that_receives_the_vms_events_goes_on_to/1,
         flags_of_production_apply_also_from_a_file_and_the_report_says_them/1,
         a_file_of_flags_is_read_as_erl_reads_it/1,
         a_file_of_flags_may_name_a_node_and_nothing_else_of_the_benchs/1]).

-define(PATIENCE_MS, 10000).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

%% Peers have the environment of this VM: an epmd of their own, on a port that was free.
init_per_testcase(_Case, Config) ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    true = os:putenv("ERL_EPMD_PORT", integer_to_list(Port)),
    true = os:putenv("ERL_EPMD_ADDRESS", "127.0.0.1"),
    [{port, Port} | Config].

end_per_testcase(_Case, _Config) ->
    [true = os:unsetenv(Name) || Name <- ["ERL_EPMD_PORT", "ERL_EPMD_ADDRESS"]],
    ok.

run(Options, More) ->
    router_bench:run(maps:merge(#{adapter => foreign_adapter, adapter_options => Options, blocks => 1,
                                  control => false, warmup_ms => 20, throughput_ms => 50, latency_ms => 50,
                                  rate_per_second => 1000, concurrency => 1, quiet => true}, More)).

listens(Config) ->
    case gen_tcp:connect({127, 0, 0, 1}, proplists:get_value(port, Config), []) of
        {ok, Socket} -> gen_tcp:close(Socket), true;
        {error, _} -> false
    end.

wait_until(Is) ->
    wait_until(Is, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

wait_until(Is, DeadlineMs) ->
    case {Is(), erlang:monotonic_time(millisecond) < DeadlineMs} of
        {true, _} -> ok;
        {false, true} -> timer:sleep(20), wait_until(Is, DeadlineMs);
        {false, false} -> error(never)
    end.

an_epmd_of_the_routers_boot_does_not_outlive_the_run_and_the_report_says_node(Config) ->
    false = listens(Config),
    {ok, #{env := #{distributed := true} = Env}} = run(#{distributed => true}, #{}),
    false = is_map_key(attached, Env),
    false = listens(Config),
    {ok, #{env := Plain}} = run(#{}, #{}),
    false = is_map_key(distributed, Plain).

an_epmd_that_ran_before_stays(Config) ->
    Epmd = filename:join([code:root_dir(), "erts-" ++ erlang:system_info(version), "bin", "epmd"]),
    Shell = open_port({spawn_executable, "/bin/sh"},
                      [{args, ["-c", "\"$0\" >/dev/null 2>&1 & read _; kill $!; wait", Epmd]}]),
    ok = wait_until(fun() -> listens(Config) end),
    {ok, #{env := #{distributed := true}}} = run(#{distributed => true}, #{}),
    true = listens(Config),
    true = port_close(Shell),
    ok = wait_until(fun() -> not listens(Config) end).

a_stopped_run_takes_the_epmd_along(Config) ->
    {Run, Monitor} = spawn_monitor(fun() ->
                                           {error, {interrupted, _}} =
                                               run(#{distributed => true}, #{latency_ms => 60000})
                                   end),
    ok = wait_until(fun() -> listens(Config) end),
    ok = router_bench:stop(),
    receive {'DOWN', Monitor, process, Run, normal} -> ok end,
    false = listens(Config).

a_router_that_receives_the_vms_events_goes_on_to(_Config) ->
    % It would end if it lost the place.
    {ok, #{blocks := [#{vm := Vm}]}} = run(#{holds_the_monitor => true}, #{latency_ms => 300}),
    [] = [Event || Event <- [long_gc, long_schedule], is_map_key(Event, Vm)],
    {ok, #{blocks := [#{vm := #{long_gc := _, long_schedule := _}}]}} = run(#{}, #{}).

flags_of_production_apply_also_from_a_file_and_the_report_says_them(Config) ->
    File = file(Config, "vm.args", "# of production\n-name router@10.0.0.1\n-setcookie secret\n"
                                   "+S 1:1\n-heart\n+A 7\n-kernel prevent_overlapping_partitions false\n"),
    {ok, #{env := #{vm_flags := Flags, schedulers_online := 1} = Env}} =
        run(#{}, #{erl_args => ["+K", "true", "-args_file", File]}),
    false = is_map_key(distributed, Env),
    [true = string:find(Flags, Flag) =/= nomatch
     || Flag <- ["+K true", "+S 1:1", "+A 7", "-kernel prevent_overlapping_partitions false"]],
    [nomatch = string:find(Flags, Flag) || Flag <- ["name", "secret", "heart", "10.0.0.1"]].

a_file_of_flags_is_read_as_erl_reads_it(Config) ->
    Inner = file(Config, "inner.args", "+P 100000 # processes\n"),
    Outer = file(Config, "outer.args", ["-a 'b c'\t\"d # e\" f\\ g\\#h\n#+S 9\n-args_file ", Inner, "\n-i j"]),
    {ok, ["-a", "b c", "d # e", "f g#h", "+P", "100000", "-i", "j", "+A", "3"]} =
        router_bench_flags:expand(["-args_file", Outer, "+A", "3"]),
    {ok, []} = router_bench_flags:expand(["-args_file", file(Config, "empty.args", "# nothing\n")]),
    % erl agrees.
    Erl = filename:join([code:root_dir(), "bin", "erl"]),
    Said = os:cmd(Erl ++ " -noshell -args_file " ++ Outer ++
                      " -eval 'io:format(\"~0p\", [[element(2, init:get_argument(A)) || A <- [a, i]]]), halt().'"),
    true = string:find(Said, "[[[\"b c\",\"d # e\",\"f g#h\"]],[[\"j\"]]]") =/= nomatch orelse error(Said).

a_file_of_flags_may_name_a_node_and_nothing_else_of_the_benchs(Config) ->
    Said = fun(Flags) -> {error, Text} = router_bench_flags:expand(Flags), Text end,
    Says = fun(Words, Text) -> string:find(Text, Words) =/= nomatch orelse error(Text) end,
    Own = file(Config, "own.args", "+A 1 -boot start_sasl"),
    true = Says("flags without -boot in " ++ Own, Said(["-args_file", Own])),
    true = Says("flags without -sname", Said(["-sname", "typed"])),
    true = Says("a file after -args_file", Said(["-args_file"])),
    true = Says("nowhere.args (no such file", Said(["-args_file", "nowhere.args"])),
    Loop = filename:join(proplists:get_value(priv_dir, Config), "loop.args"),
    Loop = file(Config, "loop.args", ["-args_file ", Loop]),
    true = Says("do not lead back to", Said(["-args_file", Loop])),
    {ok, ["+A", "1"]} = router_bench_flags:expand(
                          ["-args_file", file(Config, "last.args", "-sname a -heart +A 1 -setcookie")]),
    {error, {bad_option, erl_args, _, "a file at " ++ _}} =
        router_bench_plan:new(#{adapter => plain_adapter, erl_args => ["-args_file", "nowhere.args"]}).

file(Config, Name, Text) ->
    File = filename:join(proplists:get_value(priv_dir, Config), Name),
    ok = file:write_file(File, Text),
    File.
