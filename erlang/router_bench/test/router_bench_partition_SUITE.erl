%% Drivers in a network of their own, whose link to the router is cut.
-module(router_bench_partition_SUITE).

-export([suite/0, all/0, init_per_suite/1, end_per_suite/1]).
-export([what_is_far_is_driven_and_encrypted/1,
         requests_of_a_link_that_is_cut_and_joined_are_accounted_for/1,
         a_link_that_stays_cut_ends_the_run/1,
         a_driver_that_is_killed_there_is_named/1,
         nothing_is_left_behind/1]).

%% Gone when its standard input closes, also where this VM was killed.
-define(NETWORK, "trap '' HUP INT TERM\n"
                 "ip netns add $1 && ip link add $1 type veth peer name in netns $1 &&\n"
                 "ip address add $2.1/30 dev $1 && ip link set $1 up &&\n"
                 "ip -n $1 address add $2.2/30 dev in && ip -n $1 link set in up && ip -n $1 link set lo up &&\n"
                 "echo up && read -r _\n"
                 "ip link delete $1; ip netns delete $1").

suite() ->
    [{timetrap, {minutes, 4}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info] -- [init_per_suite, end_per_suite].

init_per_suite(Config) ->
    Number = list_to_integer(os:getpid()),
    Name = "rb" ++ integer_to_list(Number),
    Net = lists:flatten(io_lib:format("198.18.~b", [Number rem 256])),
    Case = self(),
    Holder = spawn(fun() ->
        Port = open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", ?NETWORK, "sh", Name, Net]}, {line, 200},
                                                         exit_status, stderr_to_stdout]),
        Up = receive
                 {Port, {data, {eol, "up"}}} -> up;
                 {Port, Other} -> {down, Other}
             end,
        Case ! {self(), Up},
        receive {stop, From} ->
            true = port_command(Port, "\n"),
            receive {Port, {exit_status, _}} -> From ! stopped end
        end
    end),
    receive
        {Holder, up} -> [{holder, Holder}, {namespace, Name}, {address, Net ++ ".1"} | Config];
        {Holder, {down, Why}} -> {skip, {"network namespaces cannot be made here: be root", Why}}
    end.

end_per_suite(Config) ->
    proplists:get_value(holder, Config) ! {stop, self()},
    receive stopped -> ok end.

options(More, Config) ->
    Place = {netns_starter, list_to_binary(proplists:get_value(namespace, Config))},
    maps:merge(#{adapter => driven_adapter, nodes => [Place, Place],
                 listen => list_to_binary(proplists:get_value(address, Config)), blocks => 1, warmup_ms => 20,
                 throughput_ms => 60, latency_ms => 400, slice_ms => 100, rate_per_second => 1000,
                 concurrency => 3, max_in_flight => 64, drain_timeout_ms => 300, timeout_ms => 90000,
                 control => false, quiet => true}, More).

what_is_far_is_driven_and_encrypted(Config) ->
    {ok, #{load := #{distribution := tls, drivers := 2},
           blocks := [#{accounting := #{latency := #{offered := 400, ok := 400}},
                        nodes := #{drivers := [#{place := Place}, _]}}]}} = run(#{}, Config),
    {match, _} = re:run(Place, "^netns_starter:rb").

requests_of_a_link_that_is_cut_and_joined_are_accounted_for(Config) ->
    {ok, #{blocks := [#{accounting := #{latency := Latency}, nodes := #{drivers := [One, Other]}}]}} =
        run(#{progress => once(open_loop, fun() -> link("down", Config), timer:sleep(1000), link("up", Config) end)},
            Config),
    #{offered := Offered, ok := Ok, error := Error, timeout := Timeout, rejected := Rejected,
      skipped := Skipped} = Latency,
    Offered = Ok + Error + Timeout + Rejected + Skipped,
    true = Error + Timeout > 0,
    [#{accounting := #{latency := #{offered := First}}}, #{accounting := #{latency := #{offered := Second}}}] =
        [One, Other],
    Offered = First + Second.

a_link_that_stays_cut_ends_the_run(Config) ->
    try
        case run(#{progress => once(closed_loop, fun() -> link("down", Config) end), blocks => 2}, Config) of
            {error, {failed, Text, #{run := #{status := failed}}}} ->
                {match, _} = re:run(Text, "^block [12]: ");
            {ok, #{blocks := Blocks}} ->
                ct:fail({measured, Blocks})
        end
    after link("up", Config)
    end.

a_driver_that_is_killed_there_is_named(Config) ->
    {error, {failed, Text, _}} = run(#{adapter_options => #{driver_dies_at => 16#1000000}}, Config),
    {match, _} = re:run(Text, "driver [12] of 2 \\(netns_starter:rb[0-9]+\\), whose share").

nothing_is_left_behind(Config) ->
    _ = run(#{}, Config),
    "" = os:cmd("ip netns pids " ++ proplists:get_value(namespace, Config)),
    [] = filelib:wildcard("/tmp/router_bench_{far,tls}.*").

run(More, Config) ->
    router_bench:run(options(More, Config)).

once(Activity, Do) ->
    Done = counters:new(1, []),
    fun({step, #{activity := A}}) when A =:= Activity ->
            case counters:get(Done, 1) of
                0 -> counters:add(Done, 1, 1), spawn(Do);
                _ -> ok
            end;
       (_) -> ok
    end.

link(State, Config) ->
    "" = os:cmd("ip link set " ++ proplists:get_value(namespace, Config) ++ " " ++ State).
