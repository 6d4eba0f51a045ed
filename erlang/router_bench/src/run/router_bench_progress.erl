%% @doc What a run tells on its way: to whom the plan's `progress' names, else on the console.
%%
%% Told is what begins, never while a slice is measured. On the console a block is a line that grows, so
%% that it needs nothing of a terminal; each text begins the line that it stands in:
%%
%% ```
%% block 2 of 3, 20 s left: boot, warm-up, closed loop, open loop, stop
%%   51,200/s, p95 0.151 ms, p99 0.420 ms, 25.5 MB
%% '''
%% @private
-module(router_bench_progress).

-export([tell/2, text/2]).

-export_type([event/0, activity/0]).

-type activity() :: controls | calibration | boot | warm_up | closed_loop | open_loop | recovery | stop.
%% `block_ms' is what a block takes, about, all sides together: by the plan, then as measured.
-type event() :: {step, #{activity := activity(), block => pos_integer(), block_ms => pos_integer()}}
               | {calibrated, router_bench_calibration:result()}
               | {measured, N :: pos_integer(), [{router_bench_block:role(), Figures :: #{atom() => number()}}]}
               | {table, unicode:chardata()}.

%% @doc Tells what a run does or found.
-spec tell(event(), router_bench_plan:plan()) -> ok.
tell(Event, #{progress := Tell}) when is_function(Tell, 1) ->
    _ = Tell(Event),
    ok;
tell(_Event, #{quiet := true}) ->
    ok;
tell(Event, Plan) ->
    io:put_chars(text(Event, Plan)).

%% @doc The same as text for a console.
-spec text(event(), router_bench_plan:plan()) -> unicode:chardata().
text({step, #{activity := boot, block := N} = Step}, #{blocks := Blocks}) ->
    Left = case Step of
               #{block_ms := BlockMs} -> [", ", duration(BlockMs * (Blocks - N + 1)), " left"];
               #{} -> ""
           end,
    io_lib:format("~nblock ~b of ~b~s: boot", [N, Blocks, Left]);
text({step, #{activity := Activity, block := _}}, _Plan) ->
    [", ", name(Activity)];
text({step, #{activity := Activity}}, _Plan) ->
    [$\n, name(Activity)];
text({calibrated, #{rps := Rps, concurrency := Workers, rate_per_second := Rate}}, _Plan) ->
    io_lib:format("~ncalibration: ~s with ~b workers, so ~s arrivals/s in the open loop",
                  [router_bench_figures:text(rps, Rps), Workers,
                   router_bench_figures:thousands(Rate)]);
text({measured, _N, [{_Role, Figures}]}, _Plan) ->
    io_lib:format("~n  ~s", [figures(Figures)]);
text({measured, _N, Sides}, _Plan) ->
    [io_lib:format("~n  ~-9ts  ~s", [side(Role), figures(Figures)]) || {Role, Figures} <- Sides];
text({table, Table}, _Plan) ->
    Table.

name(controls) -> "trying the router's counters";
name(calibration) -> "finding the load";
name(warm_up) -> "warm-up";
name(closed_loop) -> "closed loop";
name(open_loop) -> "open loop";
name(Activity) -> atom_to_list(Activity).

side({variant, _Option, Value}) -> router_bench_text:value(Value);
side(Role) -> atom_to_list(Role).

figures(Metrics) ->
    Figure = fun(Key) ->
                     case Metrics of
                         #{Key := Value} -> router_bench_figures:text(Key, Value);
                         #{} -> "not measured"
                     end
             end,
    io_lib:format("~s, p95 ~s, p99 ~s, ~s",
                  [Figure(Key) || Key <- [rps, latency_p95_ms, latency_p99_ms,
                                          mem_mb_total_erlang]]).

duration(Ms) when Ms < 120000 -> io_lib:format("~b s", [(Ms + 999) div 1000]);
duration(Ms) -> io_lib:format("~b min", [(Ms + 59999) div 60000]).
