%% Drivers on machines that are not as the conductor's: another clock rate, release, architecture, or a library
%% that does not load there. The clock, the releases and the refusals are real.
-module(router_bench_unlike_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([a_clock_of_another_rate_disturbs_the_block_and_is_told_of_its_driver/1,
         a_driver_that_stands_still_for_a_while_disturbs_the_block_and_is_told/1,
         another_release_is_refused_by_name/1,
         another_architecture_is_refused_by_name/1,
         nodes_of_a_cluster_that_are_of_different_releases_are_refused_by_name/1,
         a_cluster_of_another_release_is_measured_and_drives_itself/1,
         a_library_that_does_not_load_is_refused_with_the_cure/1,
         a_node_that_cannot_load_the_library_is_refused_with_the_cure/1,
         nothing_is_left_behind/1]).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info] -- [init_per_suite, end_per_suite].

init_per_suite(Config) ->
    case os:cmd("unshare --mount true && echo can") of
        "can\n" -> Config;
        Why -> {skip, "this machine cannot have mounts of one's own (be root): " ++ Why}
    end.

end_per_suite(_Config) -> ok.

init_per_testcase(a_clock_of_another_rate_disturbs_the_block_and_is_told_of_its_driver, Config) ->
    with_tool(clock, "faketime", Config);
init_per_testcase(another_release_is_refused_by_name, Config) ->
    with_tool(release, "otp", Config);
init_per_testcase(Case, Config) when Case =:= nodes_of_a_cluster_that_are_of_different_releases_are_refused_by_name;
                                     Case =:= a_cluster_of_another_release_is_measured_and_drives_itself ->
    % What is unpacked is 27, or 25 beside that; what was compiled for a release loads in later ones.
    case list_to_integer(erlang:system_info(otp_release)) < 27 of
        true -> with_tool(release, "otp", Config);
        false -> {skip, "this machine cannot: no Erlang/OTP is known that is later than its own"}
    end;
init_per_testcase(another_architecture_is_refused_by_name, Config) ->
    % Of amd64 and the releases that Debian has: i386.
    Known = lists:prefix("x86_64", erlang:system_info(system_architecture))
        andalso lists:member(erlang:system_info(otp_release), ["25", "27", "29"]),
    case {Known, with_tool(architecture, "otp", Config)} of
        {false, _} ->
            {skip, "this machine cannot: no Erlang/OTP of this release is known for another architecture that it runs"};
        {true, {skip, Why}} ->
            {skip, Why};
        {true, Config} ->
            {ok, Tree} = unlike_starter:tool(architecture),
            case os:cmd("chroot " ++ Tree ++ " /bin/true && echo can") of
                "can\n" -> Config;
                Why -> {skip, "this machine cannot run programs of 32 bits: " ++ Why}
            end
    end;
init_per_testcase(_Case, Config) ->
    Config.

with_tool(What, Name, Config) ->
    case unlike_starter:tool(What) of
        {ok, _} -> Config;
        none -> {skip, "type ./scripts/setup.sh --with " ++ Name}
    end.

end_per_testcase(_Case, _Config) -> ok.

run(Places, More) ->
    router_bench:run(maps:merge(#{adapter => driven_adapter, nodes => Places, listen => <<"127.0.0.1">>,
                                  blocks => 1, warmup_ms => 20, throughput_ms => 60, latency_ms => 800,
                                  slice_ms => 400, rate_per_second => 1000, concurrency => 4, control => false,
                                  drain_timeout_ms => 1000, timeout_ms => 60000, quiet => true}, More)).

a_clock_of_another_rate_disturbs_the_block_and_is_told_of_its_driver(_Config) ->
    {ok, #{blocks := [#{disturbed := Disturbed,
                        nodes := #{drivers := [#{clock_rate_ppm := Little, clock_rate_uncertainty_ppm := Unsure},
                                               #{place := <<"unlike_starter:clock:1.01">>, disturbed := Faster,
                                                 clock_rate_ppm := Ppm, clock_rate_uncertainty_ppm := Uncertain}]},
                        accounting := #{latency := #{offered := 800}}}]} = Report} =
        run([local, {unlike_starter, <<"clock:1.01">>}], #{}),
    {match, _} = re:run(router_bench_table:format(Report),
                        "driver 2 \\(unlike_starter:clock:1.01\\): .*clock_drift in 1"),
    true = lists:member(clock_drift, Disturbed),
    true = lists:member(clock_drift, Faster),
    % One in a hundred, to what is told of how far that may be off, and what a clock's calibration is.
    true = abs(Ppm - 10000) =< Uncertain + 2000,
    true = Little =< Unsure + 2000.

%% Stopped for half a second of a slice, at a request of the open loop that the closed one has no time for. The
%% other driver is in time, and hides nothing.
a_driver_that_stands_still_for_a_while_disturbs_the_block_and_is_told(_Config) ->
    {ok, #{blocks := [#{disturbed := Disturbed, accounting := #{latency := #{offered := 4000}},
                        nodes := #{drivers := [_, #{driver := 2, disturbed := Stopped,
                                                    dispatch_lag := #{max_ns := Latest}}]}}]}} =
        run([local, local], #{adapter_options => #{driver_dies_at => {stops_for_a_while, 2501}},
                              rate_per_second => 2000, throughput_ms => 20, latency_ms => 2000, slice_ms => 1000,
                              max_in_flight => 64}),
    true = lists:member(host_stall, Stopped),
    true = lists:member(host_stall, Disturbed),
    % What was to begin meanwhile began afterwards.
    true = Latest > 400000000.

another_release_is_refused_by_name(_Config) ->
    Ours = erlang:system_info(otp_release),
    {match, [Theirs]} = refused(<<"release">>, "it has Erlang/OTP ([0-9]+), and here is " ++ Ours ++ ": install "),
    true = Theirs =/= Ours.

another_architecture_is_refused_by_name(_Config) ->
    Ours = erlang:system_info(system_architecture),
    {match, [Theirs]} = refused(<<"architecture">>, "it has Erlang/OTP for ([^ ,]+), and here is one for " ++ Ours),
    true = Theirs =/= Ours.

nodes_of_a_cluster_that_are_of_different_releases_are_refused_by_name(Config) ->
    Ours = erlang:system_info(otp_release),
    Says = fun(Measure, Nodes, Attached, Text) ->
                   {error, {not_attached, _, {other_release, _, _, _}} = Reason} = Measure(#{nodes => Nodes}, none),
                   {match, _} = re:run(router_bench_failure:sentence(Reason), ["attached to ", Attached, ": ", Text])
           end,
    with_cluster(Config, [own, <<"release">>, own], fun(Measure, _Nodes) ->
        Says(Measure, ['unlike_3@127.0.0.1', 'unlike_2@127.0.0.1'], "unlike_2@127.0.0.1",
             "it runs Erlang/OTP [0-9]+, and unlike_1@127.0.0.1 runs " ++ Ours),
        {ok, _} = Measure(#{nodes => ['unlike_3@127.0.0.1']}, none)
    end),
    with_cluster(Config, [<<"release">>, <<"release">>, own], fun(Measure, _Nodes) ->
        Says(Measure, ['unlike_3@127.0.0.1'], "unlike_3@127.0.0.1", "it runs Erlang/OTP " ++ Ours),
        Says(Measure, ['unlike_2@127.0.0.1', local], "unlike_1@127.0.0.1",
             "it runs Erlang/OTP [0-9]+, and `local' drivers would run this VM's " ++ Ours)
    end).

%% The bench's modules are of this release, which a later one loads. As on other machines, its nodes have no file of
%% this one.
a_cluster_of_another_release_is_measured_and_drives_itself(Config) ->
    with_cluster(Config, [<<"release">>, <<"release">>, <<"release">>], fun(Measure, Nodes) ->
        Theirs = list_to_binary(own_cluster:call(Nodes, 'unlike_1@127.0.0.1', {erlang, system_info}, [otp_release])),
        true = Theirs =/= list_to_binary(erlang:system_info(otp_release)),
        {ok, #{env := #{otp_release := Theirs},
               blocks := [#{nodes := #{drivers := Drivers}, accounting := #{latency := #{offered := 200, ok := 200}}}]}} =
            Measure(#{}, none),
        [Theirs, Theirs] = [Release || #{env := #{otp_release := Release}} <- Drivers]
    end).

a_node_that_cannot_load_the_library_is_refused_with_the_cure(Config) ->
    with_cluster(Config, [own, <<"noexec">>, own], fun(Measure, Nodes) ->
        {error, {not_attached, 'unlike_2@127.0.0.1', native_library_not_loaded} = Reason} = Measure(#{}, none),
        {match, _} = re:run(router_bench_failure:sentence(Reason), "cannot load the native library.* noexec"),
        [false = own_cluster:call(Nodes, Node, {erlang, module_loaded}, [Module])
         || Node <- ['unlike_1@127.0.0.1', 'unlike_2@127.0.0.1'], Module <- [router_bench_nif, router_bench_guardian]]
    end).

%% Nodes in turn: the router's, and two drivers'.
with_cluster(Config, Kinds, Work) ->
    Cookie = filename:join(proplists:get_value(priv_dir, Config), "unlike_cookie"),
    ok = file:write_file(Cookie, own_cluster:cookie()),
    ok = file:change_mode(Cookie, 8#600),
    {Epmd, Env} = own_epmd:start(),
    Names = ['unlike_1@127.0.0.1', 'unlike_2@127.0.0.1', 'unlike_3@127.0.0.1'],
    Way = fun(own) -> [own_cluster:erl()]; (Other) -> unlike_starter:node_way(Other) end,
    [Router | Drivers] = Names,
    try own_cluster:with(#{nodes => [{Name, Way(Kind)} || {Name, Kind} <- lists:zip(Names, Kinds)], env => Env,
                           flags => fun(_Address) -> [] end, conductor => {"127.0.0.1", ["-nocookie"]}},
                         #{node => Router, nodes => Drivers, cookie_file => Cookie, adapter => cluster_adapter,
                           blocks => 1, warmup_ms => 20, throughput_ms => 60, latency_ms => 200, slice_ms => 100,
                           rate_per_second => 1000, concurrency => 3, control => false, drain_timeout_ms => 1000,
                           quiet => true}, Work)
    after own_epmd:stop(Epmd)
    end.

a_library_that_does_not_load_is_refused_with_the_cure(_Config) ->
    {match, _} = refused(<<"noexec">>, "it cannot load the (native library).* noexec").

%% Before anything is measured, and the second of two drivers is not the first.
refused(Which, Text) ->
    {error, {failed, Sentence, #{run := #{status := failed}, blocks := []}}} =
        run([local, {unlike_starter, Which}], #{}),
    {match, _} = re:run(Sentence, ["^block 1: driver 2 of 2 \\(unlike_starter:", Which, "\\), whose share of "]),
    re:run(Sentence, Text, [{capture, all_but_first, list}]).

nothing_is_left_behind(_Config) ->
    [] = filelib:wildcard("/tmp/router_bench_{far,tls}.*"),
    [false = filelib:is_file(filename:dirname(Library))
     || Node <- ['unlike_1@127.0.0.1', 'unlike_2@127.0.0.1', 'unlike_3@127.0.0.1'],
        #{library := {Library, _}} <- [router_bench_luggage:pack([cluster_adapter], Node)]],
    Mark = list_to_binary("ROUTER_BENCH_PEER=" ++ os:getpid() ++ "."),
    [] = [File || File <- filelib:wildcard("/proc/[0-9]*/environ"), {ok, Environment} <- [file:read_file(File)],
                  binary:match(Environment, Mark) =/= nomatch].
