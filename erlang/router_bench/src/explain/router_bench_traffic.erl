%% @doc Messages between processes, and how long each kind of process ran, of a sample of the requests.
%%
%% These are trace messages, of which a router can make any number. So the requests of the sample are routed
%% in rounds of one for each worker, the next only when everything of the last has been taken in; the process
%% that takes it in keeps sums, ends the trace when it has seen enough, and dies of too large a mailbox before
%% the VM does.
%% @private
-module(router_bench_traffic).

-export([run/3]).

-type key() :: {From :: router_bench_scope:who(), To :: router_bench_scope:who()}.
-type traffic() :: #{messages := [map()],
                     seen := #{router_bench_scope:who() => #{running_us := non_neg_integer()}}}.

-define(REQUESTS, 256).
-define(EVENTS_MAX, 100000).
-define(HEAP_MAX_WORDS, 8000000).
%% Of what is told, by most words.
-define(ROWS_MAX, 500).
-define(GONE, {<<"a process that has ended">>, false}).

-record(seen, {scope :: router_bench_scope:scope(),
               events = 0 :: non_neg_integer(),
               names = #{} :: #{pid() => router_bench_scope:who()},
               aliases = #{} :: #{reference() => pid()},
               since = #{} :: #{pid() => integer()},
               running = #{} :: #{router_bench_scope:who() => non_neg_integer()}, % ns
               messages = #{} :: #{key() => {Count :: pos_integer(), Words :: non_neg_integer(),
                                             Most :: non_neg_integer()}}}).

%% @doc Samples a pass of so many requests of each worker. Times are scaled to the whole of it.
-spec run(router_bench_pass:context(), router_bench_scope:scope(), Requests :: pos_integer()) ->
          {ok, traffic()} | {error, Reason :: term()}.
run(#{plan := #{concurrency := Workers} = Plan, adapter := Adapter} = Context, Scope, Requests) ->
    Rounds = min(Requests, max(1, ?REQUESTS div Workers)),
    case router_bench_pass:open(Context, Rounds, ahead) of
        {ok, {Crew, Pids}} ->
            Known = router_bench_scope:with_workers(Pids, Adapter, Scope),
            Heap = #{size => ?HEAP_MAX_WORDS, kill => true, error_logger => false},
            {Collector, Monitor} = spawn_opt(fun() -> collect(#seen{scope = Known}) end,
                                             [monitor, {priority, high}, {max_heap_size, Heap},
                                              {message_queue_data, on_heap}]),
            _ = erlang:trace(processes, true, [send, running, procs, monotonic_timestamp,
                                               {tracer, Collector}]),
            try rounds(Rounds, Rounds, Crew, Plan, Collector, Monitor) of
                {ok, Done, Seen} -> {ok, traffic(Seen, Done * Workers, Requests * Workers)};
                {error, Reason} -> {error, Reason}
            after
                untraced(),
                true = demonitor(Monitor, [flush]),
                exit(Collector, kill),
                router_bench_pass:close(Crew)
            end;
        {error, Reason} ->
            {error, Reason}
    end.

untraced() ->
    _ = erlang:trace(processes, false, [send, running, procs, monotonic_timestamp]),
    ok.

%% What was seen, and of how many rounds; nothing where it was too much.
rounds(Left, Rounds, Crew, Plan, Collector, Monitor) ->
    case router_bench_pass:route(Crew, 1, Plan) of
        {ok, _} ->
            Delivered = erlang:trace_delivered(all),
            receive {trace_delivered, all, Delivered} -> ok end,
            Collector ! {seen, self(), Delivered},
            receive
                {Delivered, #seen{events = Events}} when Left > 1, Events < ?EVENTS_MAX ->
                    rounds(Left - 1, Rounds, Crew, Plan, Collector, Monitor);
                {Delivered, Seen} ->
                    {ok, Rounds - Left + 1, Seen};
                {'DOWN', Monitor, process, Collector, killed} ->
                    {ok, 1, #seen{scope = router_bench_scope:new([])}}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% In the collector

collect(#seen{events = ?EVENTS_MAX} = Seen) ->
    untraced(),
    collect(Seen#seen{events = ?EVENTS_MAX + 1});
collect(#seen{events = Events} = Seen) ->
    receive
        {seen, Caller, Reference} ->
            Caller ! {Reference, Seen#seen{names = #{}, aliases = #{}}},
            collect(Seen);
        _ when Events > ?EVENTS_MAX ->
            collect(Seen);
        Event ->
            collect(event(Event, Seen#seen{events = Events + 1}))
    end.

event({trace_ts, From, Send, Message, To, _Ts}, Seen)
  when Send =:= send; Send =:= send_to_non_existing_process ->
    sent(From, To, Message, aliased(Message, Seen));
event({trace_ts, _Parent, spawn, Pid, Call, _Ts}, #seen{scope = Scope, names = Names} = Seen) ->
    Seen#seen{names = Names#{Pid => router_bench_scope:started(Call, Scope)}};
event({trace_ts, Pid, In, _Call, Ns}, #seen{since = Since} = Seen)
  when In =:= in, is_pid(Pid) ->
    Seen#seen{since = Since#{Pid => Ns}};
event({trace_ts, Pid, Out, _CallOrReason, Ns}, #seen{since = Since, running = Running} = Seen)
  when is_map_key(Pid, Since), Out =:= out orelse Out =:= exit ->
    {FromNs, Others} = maps:take(Pid, Since),
    {Who, Known} = who(Pid, Seen#seen{since = Others}),
    Known#seen{running = maps:update_with(Who, fun(Sum) -> Sum + Ns - FromNs end, Ns - FromNs, Running)};
event(_Other, Seen) ->
    Seen.

sent(From, To, Message, Seen) ->
    {Sender, Known} = who(From, Seen),
    {Receiver, #seen{messages = Messages} = Both} = who(To, Known),
    case lists:member(bench, [Sender, Receiver]) of
        true ->
            Both;
        false ->
            Words = erts_debug:flat_size(Message),
            Add = fun({Count, Sum, Most}) -> {Count + 1, Sum + Words, max(Most, Words)} end,
            Both#seen{messages = maps:update_with({Sender, Receiver}, Add, {1, Words, Words}, Messages)}
    end.

%% Who calls a server may be answered at an alias.
aliased({'$gen_call', {Pid, [alias | Alias]}, _}, #seen{aliases = Aliases} = Seen) when is_pid(Pid) ->
    Seen#seen{aliases = Aliases#{Alias => Pid}};
aliased(_Message, Seen) ->
    Seen.

who(Pid, #seen{names = Names, scope = Scope} = Seen) when is_pid(Pid) ->
    case Names of
        #{Pid := Who} ->
            {Who, Seen};
        #{} ->
            Who = case router_bench_scope:who(Pid, Scope) of
                      gone -> ?GONE;
                      Alive -> Alive
                  end,
            {Who, Seen#seen{names = Names#{Pid => Who}}}
    end;
who(Name, Seen) when is_atom(Name) ->
    case whereis(Name) of
        Pid when is_pid(Pid) -> who(Pid, Seen);
        _ -> {{router_bench_scope:name(Name), false}, Seen}
    end;
who({Name, Node}, Seen) when Node =:= node() ->
    who(Name, Seen);
who(Alias, #seen{aliases = Aliases} = Seen) when is_map_key(Alias, Aliases) ->
    who(maps:get(Alias, Aliases), Seen);
who(Port, Seen) when is_port(Port) ->
    {{<<"a port">>, false}, Seen};
who(Alias, Seen) when is_reference(Alias) ->
    {{<<"an alias">>, false}, Seen};
who(_Elsewhere, Seen) ->
    {{<<"another node">>, false}, Seen}.

%% Sums

traffic(#seen{messages = Messages, running = Running}, Sampled, Requests) ->
    Rows = lists:reverse(lists:sort([{Words, Count, Most, Key}
                                     || {Key, {Count, Words, Most}} <- maps:to_list(Messages)])),
    #{messages => [#{from => From, to => To, count => Count, requests => Sampled, words => Words,
                     words_max => Most}
                   || {Words, Count, Most, {{From, _}, {To, _}}} <- lists:sublist(Rows, ?ROWS_MAX)],
      seen => maps:from_list([{Who, #{running_us => Ns * Requests div Sampled div 1000}}
                              || {Who, Ns} <- maps:to_list(Running), Who =/= bench])}.
