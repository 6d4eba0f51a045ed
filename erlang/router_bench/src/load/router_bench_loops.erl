%% @doc The loops of a load, one after the other: a loop ends with the first slice of the next.
%% @private
-module(router_bench_loops).

-export([new/1, enter/2, slice/2, take/1, close/1, seen/1]).

-export_type([loops/0, kind/0, slice/0, results/0]).

-type kind() :: closed | open.
-type slice() :: router_bench_closed_loop:slice() | router_bench_open_loop:slice().
-opaque loops() :: #{context := router_bench_side:context(), current := none | {kind(), Loop :: term()},
                     done := #{kind() => term()}}.
-type results() :: #{closed := router_bench_closed_loop:result(), open => router_bench_open_loop:result()}.

%% @doc None has run yet. All slices must be of the same process.
-spec new(router_bench_side:context()) -> loops().
new(Context) ->
    #{context => Context, current => none, done => #{}}.

%% @doc Begins a loop, if it is not the one that runs; the one before ends.
-spec enter(kind(), loops()) -> {ok, loops()} | {error, term()}.
enter(Kind, #{current := {Kind, _}} = Loops) ->
    {ok, Loops};
enter(Kind, Loops) ->
    case ended(Loops) of
        {ok, #{context := Context} = Ended} -> {ok, Ended#{current := {Kind, (module(Kind)):open(Context)}}};
        {error, Reason} -> {error, Reason}
    end.

%% @doc Runs the loop for a time.
-spec slice(DurationMs :: pos_integer(), loops()) -> {ok, slice(), loops()} | {error, term()}.
slice(DurationMs, #{current := {Kind, Loop}} = Loops) ->
    case (module(Kind)):slice(Loop, DurationMs) of
        {ok, Slice, Next} -> {ok, Slice, Loops#{current := {Kind, Next}}};
        {error, Reason} -> {error, Reason}
    end.

ended(#{current := none} = Loops) ->
    {ok, Loops};
ended(#{current := {Kind, Loop}, done := Done} = Loops) ->
    case (module(Kind)):close(Loop) of
        {ok, Result} -> {ok, Loops#{current := none, done := Done#{Kind => Result}}};
        {error, Reason} -> {error, Reason}
    end.

module(closed) -> router_bench_closed_loop;
module(open) -> router_bench_open_loop.

%% @doc What the loop that ran last has recorded since it was last asked, for
%% {@link router_bench_nif:recorder_add/2} elsewhere.
-spec take(loops()) -> #{Quantity :: atom() => binary()}.
take(#{current := {Kind, Loop}}) ->
    maps:map(fun(_, Recorder) -> router_bench_nif:recorder_take(Recorder) end, (module(Kind)):recorders(Loop)).

%% @doc Ends the last loop; what each has measured.
-spec close(loops()) -> {ok, results()} | {error, term()}.
close(Loops) ->
    case ended(Loops) of
        {ok, #{done := Done}} -> {ok, Done};
        {error, Reason} -> {error, Reason}
    end.

%% @doc What somebody who looks on sees of the loop that runs; nothing before its first slice.
-spec seen(loops()) -> [router_bench_side:seen()].
seen(#{current := none}) -> [];
seen(#{current := {Kind, Loop}}) -> (module(Kind)):seen(Loop).
