%% @doc What a run with these settings, here, would say of itself before it begins: environment and
%% load, as a report without figures. From it the gate tells whether the baseline's figures hold
%% here.
-module(router_bench_fingerprint).

-export([main/0]).

%% @doc Writes the file that `PERF_FINGERPRINT_FILE' names, and ends the VM with 0; with 2 and a
%% message if that cannot be done.
-spec main() -> no_return().
main() ->
    case write(os:getenv("PERF_FINGERPRINT_FILE")) of
        ok ->
            halt(0);
        {error, Message} ->
            io:format(standard_error, "~ts~n", [Message]),
            halt(2)
    end.

write(false) ->
    {error, "PERF_FINGERPRINT_FILE is missing; expected a file to write"};
write(File) ->
    case router_bench_settings:options() of
        {ok, Options} ->
            case router_bench_plan:new(Options) of
                {ok, Plan} -> router_bench:write_report(report(Plan), File);
                {error, Reason} -> {error, router_bench_plan:message(Reason)}
            end;
        {error, Message} ->
            {error, Message}
    end.

report(#{adapter := Adapter} = Plan) ->
    Timestamp = calendar:system_time_to_rfc3339(erlang:system_time(second), [{offset, "Z"}]),
    Git = router_bench_env:git(filename:dirname(code:which(Adapter))),
    Report = router_bench_report:new(#{timestamp => list_to_binary(Timestamp), git => Git,
                                       plan => Plan, controls => #{}, blocks => [],
                                       ending => unfinished, duration_ms => 0}),
    Report#{env := router_bench_env:vm()}.
