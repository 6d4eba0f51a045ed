%% @doc Figures as a person reads them. Pure.
%% @private
-module(router_bench_figures).

-export([text/2, thousands/1]).

%% @doc A metric's figure with its unit: `182,294/s', `0.151 ms', `25.5 MB', `3'.
-spec text(Metric :: atom(), number()) -> unicode:chardata().
text(rps, Figure) when Figure < 100 -> io_lib:format("~.1f/s", [float(Figure)]);
text(rps, Figure) -> [thousands(round(Figure)), "/s"];
text(Memory, Figure) when Memory =:= mem_mb_total_erlang; Memory =:= mem_mb_worst_node ->
    io_lib:format("~.1f MB", [float(Figure)]);
text(latency_p95_ms, Figure) -> milliseconds(float(Figure));
text(latency_p99_ms, Figure) -> milliseconds(float(Figure));
text(recovery_ms, Figure) -> milliseconds(float(Figure));
text(requests_lost, Figure) -> thousands(round(Figure));
text(_Count, Figure) -> thousands(Figure).

%% Three digits, down to the nanosecond that it was measured in.
milliseconds(Ms) when Ms >= 100 -> [thousands(round(Ms)), " ms"];
milliseconds(Ms) when Ms >= 10 -> io_lib:format("~.1f ms", [Ms]);
milliseconds(Ms) when Ms >= 1 -> io_lib:format("~.2f ms", [Ms]);
milliseconds(Ms) when Ms >= 0.1 -> io_lib:format("~.3f ms", [Ms]);
milliseconds(Ms) -> io_lib:format("~.4f ms", [Ms]).

%% @doc A whole number with a comma after each thousand.
-spec thousands(integer()) -> string().
thousands(Number) when Number < 0 -> [$- | thousands(-Number)];
thousands(Number) when Number < 1000 -> integer_to_list(Number);
thousands(Number) ->
    lists:flatten([thousands(Number div 1000), io_lib:format(",~3..0b", [Number rem 1000])]).
