%% @doc Counts and times of functions, as the emulator keeps them for whoever asks: no message is sent.
%%
%% Calls are counted of all processes; times and words of all but the one that asks. The bench's modules are left
%% out by name.
%% @private
-module(router_bench_trace).

-export([has/1, start/2, stop/2, functions/4, median/1]).

-export_type([kind/0, counted/0]).

-type kind() :: call_count | call_time | call_memory.
%% Of functions that were called: calls, microseconds or words.
-type counted() :: #{mfa() => pos_integer()}.

-define(FUNCTIONS_MAX, 3000).

%% @doc Whether this emulator has it.
-spec has(kind()) -> boolean().
has(call_memory) -> list_to_integer(erlang:system_info(otp_release)) >= 26;
has(_Kind) -> true.

%% @doc Begins.
-spec start(kind(), router_bench_scope:scope()) -> ok.
start(Kind, Scope) ->
    _ = erlang:trace_pattern({'_', '_', '_'}, true, [Kind]),
    lists:foreach(fun(Module) -> erlang:trace_pattern({Module, '_', '_'}, false, [Kind]) end,
                  router_bench_scope:hidden(Scope)),
    _ = [erlang:trace(processes, true, [call]) || Kind =/= call_count],
    ok.

%% @doc Ends, and gives what there was of functions that were called.
-spec stop(kind(), router_bench_scope:scope()) -> counted().
stop(Kind, Scope) ->
    _ = [erlang:trace(processes, false, [call]) || Kind =/= call_count],
    _ = erlang:trace_pattern({'_', '_', '_'}, pause, [Kind]),
    Counted = [{{Module, Function, Arity}, Value}
               || Module <- router_bench_scope:modules(Scope),
                  {Function, Arity} <- Module:module_info(functions), not is_tracing(Module, Function),
                  Value <- value(erlang:trace_info({Module, Function, Arity}, Kind))],
    _ = erlang:trace_pattern({'_', '_', '_'}, false, [Kind]),
    maps:from_list(Counted).

%% What is called here to begin and to end.
is_tracing(Module, Function) ->
    lists:member(Module, [erlang, erts_internal])
        andalso lists:member(Function, [trace, trace_pattern, ensure_tracer_module_loaded]).

value({_Kind, Calls}) when is_integer(Calls), Calls > 0 -> [Calls];
%% Some emulators trace the one that asks too.
value({_Kind, [_ | _] = OfProcesses}) ->
    [lists:sum([amount(Of) || Of <- OfProcesses, element(1, Of) =/= self()])];
value(_) -> [].

amount({_Pid, _Calls, S, Us}) -> S * 1000000 + Us;
amount({_Pid, _Calls, Words}) -> Words.

%% @doc What was called, by most time; of several passes the median.
-spec functions(Calls :: counted(), Times :: [counted(), ...], Words :: counted() | absent,
                router_bench_scope:scope()) ->
          #{functions := [map()], functions_left_out := non_neg_integer()}.
functions(Calls, Times, Words, Scope) ->
    InOrder = lists:reverse(lists:sort([{median([maps:get(MFA, Of, 0) || Of <- Times]), Count, MFA}
                                        || {MFA, Count} <- maps:to_list(Calls)])),
    Own = maps:from_list([{Module, router_bench_scope:is_own(Module, Scope)}
                          || {Module, _, _} <- maps:keys(Calls)]),
    #{functions => [function(Row, Words, Own) || Row <- lists:sublist(InOrder, ?FUNCTIONS_MAX)],
      functions_left_out => max(0, length(InOrder) - ?FUNCTIONS_MAX)}.

function({OwnUs, Count, {Module, Name, Arity} = MFA}, Words, Own) ->
    Function = #{module => router_bench_scope:name(Module), function => router_bench_scope:name(Name),
                 arity => Arity, is_own => maps:get(Module, Own), calls => Count, own_us => OwnUs},
    case Words of
        absent -> Function;
        #{} -> Function#{words => maps:get(MFA, Words, 0)}
    end.

%% @doc The middle one of a number of values, or the lesser of two.
-spec median([Value, ...]) -> Value.
median(Values) ->
    lists:nth((length(Values) + 1) div 2, lists:sort(Values)).
