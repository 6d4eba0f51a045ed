%% @doc How far one conductor goes: the load that 1, 2, 4 and 8 drivers reach on this machine, and a simulation
%% of up to 10,000 of what they send and what adding it up takes.
%%
%% The simulated drivers are processes of this VM that answer with the bytes that a driver of its BEAM would, after
%% they have recorded their share of a slice; the conductor decodes and adds up as it does in a run. What is not
%% simulated is the network, and the pipes to BEAMs.
%% @private
-module(router_bench_scale).

-export([main/0, simulate/1]).

-export_type([simulated/0]).

%% Of a slice: messages to and from all drivers, the bytes of the answers, and the median time from the first
%% question to the last answer added up, and of that adding up.
-type simulated() :: #{drivers := pos_integer(), messages := pos_integer(), bytes := pos_integer(),
                       slice_us := number(), merge_us := number()}.

-define(ROUNDS, 3).
-define(REAL, [1, 2, 4, 8]).
-define(SIMULATED, [1, 10, 100, 1000, 3000, 10000]).
-define(SLICES, 25).
%% As a run has them at most: 20,000 arrivals a second, and slices of 60 ms.
-define(ARRIVALS_OF_A_SLICE, 1200).
-define(SLICE_US, 60000).
%% Quantities that an open loop records.
-define(QUANTITIES, [response_time, service_time, dispatch_lag]).

%% @doc Prints both tables and ends the VM.
-spec main() -> no_return().
main() ->
    io:format("the load that drivers reach together on ~b processors, median of ~b rounds~n",
              [erlang:system_info(logical_processors_available), ?ROUNDS]),
    real("a router that waits and does not compute", router_bench_waiting_adapter, 4),
    real("the reference router, which shares the processors with them", ref_router_adapter, 8),
    io:format("~nsimulated: a slice of the open loop with ~b arrivals, ~b slices each~n"
              "~-8s ~12s ~12s ~14s ~16s ~14s~n",
              [?ARRIVALS_OF_A_SLICE, ?SLICES,
               "drivers", "messages", "bytes/slice", "adding up", "a slice in all", "us per driver"]),
    Simulated = [simulate(Drivers) || Drivers <- ?SIMULATED],
    lists:foreach(fun(#{drivers := Drivers, messages := Messages, bytes := Bytes, merge_us := MergeUs,
                        slice_us := SliceUs}) ->
                          io:format("~-8b ~12s ~12s ~11.2f ms ~13.2f ms ~14.1f~n",
                                    [Drivers, whole(Messages), whole(Bytes), MergeUs / 1000, SliceUs / 1000,
                                     SliceUs / Drivers])
                  end, Simulated),
    Held = [Drivers || #{drivers := Drivers, slice_us := SliceUs} <- Simulated, SliceUs < ?SLICE_US],
    io:format("~nup to ~s drivers, what a slice of ~b ms brings takes one conductor less than that; with more "
              "a tree of mergers is needed~n",
              [whole(lists:max(Held)), ?SLICE_US div 1000]),
    halt(0).

%% Real drivers

real(Router, Adapter, Workers) ->
    Rounds = [[{Drivers, reached(Adapter, Drivers, Workers)} || Drivers <- ?REAL] || _ <- lists:seq(1, ?ROUNDS)],
    io:format("~n~ts; ~b workers each~n~-8s ~14s ~14s ~14s~n",
              [Router, Workers, "drivers", "reached", "of one's", "efficiency"]),
    Of = fun(Round, Drivers) -> proplists:get_value(Drivers, Round) end,
    lists:foreach(fun(Drivers) ->
                          Times = median([Of(Round, Drivers) / Of(Round, 1) || Round <- Rounds]),
                          io:format("~-8b ~12s/s ~12.2f x ~12.1f %~n",
                                    [Drivers, whole(round(median([Of(Round, Drivers) || Round <- Rounds]))), Times,
                                     100 * Times / Drivers])
                  end, ?REAL).

%% Throughput of one block; each driver has the same number of workers.
reached(Adapter, Drivers, Workers) ->
    {ok, #{blocks := [#{metrics := #{rps := Rps}}]}} =
        router_bench:run(#{adapter => Adapter, nodes => lists:duplicate(Drivers, local), blocks => 1,
                           warmup_ms => 500, throughput_ms => 2000, latency_ms => 200, rate_per_second => 500,
                           concurrency => Workers * Drivers, control => false, quiet => true}),
    Rps.

%% Simulated drivers

%% @doc Has so many simulated drivers answer slice after slice.
-spec simulate(Drivers :: pos_integer()) -> simulated().
simulate(Drivers) ->
    Merging = router_bench_nodes:new(),
    Simulated = [begun(Share) || Share <- router_bench_share:all(Drivers)],
    Slices = [slice(Simulated, Merging) || _ <- lists:seq(1, ?SLICES)],
    _ = [Pid ! stop || Pid <- Simulated],
    ok = router_bench_nodes:forget(Merging),
    Median = fun(Place) -> median([element(Place, Slice) || Slice <- Slices]) end,
    #{drivers => Drivers, messages => 2 * Drivers, bytes => Median(1), slice_us => Median(2), merge_us => Median(3)}.

%% What a driver says of its share of a slice: an exponential time from 0.1 ms on for each of its arrivals.
answer(Share) ->
    Recorders = maps:from_list([{Quantity, router_bench_nif:recorder_new(0)} || Quantity <- ?QUANTITIES]),
    Ok = router_bench_share:part(?ARRIVALS_OF_A_SLICE, Share),
    _ = [router_bench_nif:record(Recorder, round(1.0e5 - 1.0e5 * math:log(rand:uniform_real())))
         || Recorder <- maps:values(Recorders), _ <- lists:seq(1, Ok)],
    term_to_binary({ok, #{slice => #{ok => Ok, duration_ns => ?SLICE_US * 1000},
                          taken => maps:map(fun(_, Recorder) -> router_bench_nif:recorder_take(Recorder) end,
                                            Recorders)}}).

%% One at a time: of thousands nobody wants all recorders at once.
begun(Share) ->
    Conductor = self(),
    Pid = spawn_link(fun() ->
                         Answer = answer(Share),
                         true = erlang:garbage_collect(),
                         Conductor ! {self(), begun},
                         driver(Answer)
                     end),
    receive {Pid, begun} -> Pid end.

driver(Answer) ->
    receive
        {slice, From} ->
            % A copy, as it comes from a pipe.
            From ! {self(), binary:copy(Answer)},
            driver(Answer);
        stop ->
            ok
    end.

slice(Drivers, Merging) ->
    StartNs = router_bench_nif:now(),
    _ = [Pid ! {slice, self()} || Pid <- Drivers],
    Answers = [receive {Pid, Answer} -> Answer end || Pid <- Drivers],
    Slices = [Slice || Answer <- Answers, {ok, Slice} <- [binary_to_term(Answer)]],
    MergeNs = router_bench_nif:now(),
    ok = router_bench_nodes:add(Merging, open, Slices),
    EndNs = router_bench_nif:now(),
    {lists:sum([byte_size(Answer) || Answer <- Answers]), (EndNs - StartNs) / 1000, (EndNs - MergeNs) / 1000}.

median(Values) ->
    lists:nth((length(Values) + 1) div 2, lists:sort(Values)).

whole(Number) ->
    router_bench_figures:thousands(Number).
