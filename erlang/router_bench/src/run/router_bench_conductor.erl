%% @doc The bench as the gate's child: takes requests from a local socket, runs the plans in them, and
%% answers with events. Shapes and checks of both are those of `cp1_format'.
%%
%% While a run goes on it is told after each block to go on or to stop. Where the gate goes, this VM
%% goes, and the measured ones with it; what the report says then is that the run was unfinished.
%% @private
-module(router_bench_conductor).

-export([start/1]).

-define(CONNECT_TIMEOUT_MS, 10000).

%% @doc Serves the gate that listens at a path until it hangs up, and ends the VM: with 0, or with 1 in
%% the middle of a run. For `erl -run'.
-spec start([string()]) -> no_return().
start([Path]) ->
    case gen_tcp:connect({local, Path}, 0, [binary, {packet, 4}, {active, true}],
                         ?CONNECT_TIMEOUT_MS) of
        {ok, Socket} ->
            % What adapters print belongs on the console of whoever started this VM.
            true = group_leader(whereis(user), self()),
            idle(Socket);
        {error, Reason} ->
            io:format(standard_error, "no gate at ~ts: ~p~n", [Path, Reason]),
            halt(1)
    end.

idle(Socket) ->
    receive
        {tcp, Socket, Json} ->
            handle(router_bench_nif:request_decode(Json), Socket),
            idle(Socket);
        {tcp_closed, Socket} ->
            halt(0)
    end.

handle({ok, #{<<"describe">> := Plan}}, Socket) -> answer(Socket, describe(options(Plan)));
handle({ok, #{<<"examine">> := Plan}}, Socket) -> answer(Socket, examine(options(Plan)));
handle({ok, #{<<"measure">> := #{<<"attach">> := #{<<"passive">> := Passive}} = Plan}}, Socket) ->
    watch(maps:merge(options(Plan), passive(Passive)), Socket);
handle({ok, #{<<"measure">> := Plan}}, Socket) -> measure(options(Plan), Socket);
handle({ok, #{<<"explain">> := Plan}}, Socket) -> explain(options(Plan), Socket);
handle({ok, #{<<"load">> := Plan}}, Socket) -> load(options(Plan), Socket);
handle({ok, _}, Socket) -> refuse(Socket, <<"there is no run to go on with">>);
handle({error, Message}, Socket) -> refuse(Socket, Message).

refuse(Socket, Problem) ->
    answer(Socket, #{refused => #{problem => Problem}}).

answer(Socket, Event) ->
    {ok, Json} = router_bench_nif:event_encode(Event),
    _ = gen_tcp:send(Socket, Json), % if the gate has gone, its socket says so
    ok.

%% Describing

describe(Options) ->
    case router_bench_plan:new(Options) of
        {ok, #{timeout_ms := TimeoutMs} = Plan} ->
            DeadlineMs = erlang:monotonic_time(millisecond) + TimeoutMs,
            Asked = router_bench_place:during(Plan, fun() ->
                OfPlan = {router_bench_env, of_plan, [router_bench_plan:sent(Plan)]},
                router_bench_place:evaluate(Plan, own, OfPlan, DeadlineMs)
            end),
            case Asked of
                {error, Reason} ->
                    #{refused => #{problem => router_bench_failure:sentence(Reason)}};
                {ok, Vm} ->
                    #{described =>
                          #{report => report(Plan, Vm),
                            bench_applications => router_bench_frozen:bench_applications(),
                            otp_release => list_to_binary(erlang:system_info(otp_release))}}
            end;
        {error, Reason} ->
            #{refused => refusal(Reason)}
    end.

report(Plan, Vm) ->
    Timestamp = calendar:system_time_to_rfc3339(erlang:system_time(second), [{offset, "Z"}]),
    Git = router_bench_env:git(router_bench_plan:repository(Plan)),
    {ok, Report} = router_bench_report:new(#{timestamp => list_to_binary(Timestamp), git => Git,
                                             plan => Plan, controls => #{}, blocks => [],
                                             ending => unfinished, duration_ms => 0}),
    Report#{env := Vm}.

refusal({bad_option, Option, _Value, Expected}) ->
    #{option => Option, problem => text("expected " ++ Expected)};
refusal({adapter, _Module, _Problem} = Reason) ->
    #{option => adapter, problem => text(router_bench_plan:message(Reason))};
refusal(Reason) ->
    #{problem => text(router_bench_plan:message(Reason))}.

%% Examining

examine(Options) ->
    case router_bench_plan:new(Options) of
        {ok, #{timeout_ms := TimeoutMs} = Plan} ->
            DeadlineMs = erlang:monotonic_time(millisecond) + TimeoutMs,
            case router_bench_place:run(router_bench_doctor, Plan, DeadlineMs) of
                {ok, Findings} -> #{examined => Findings};
                {error, Reason} -> #{failed => router_bench_failure:sentence(Reason)}
            end;
        {error, Reason} ->
            #{refused => refusal(Reason)}
    end.

%% Measuring

measure(Options, Socket) ->
    conduct(run,
            fun(Ask, Tell) ->
                    AskedAfter = fun(Block) -> Ask(#{block => Block}) end,
                    ended(run(Options#{after_block => AskedAfter, progress => Tell}))
            end, Socket).

run(#{node := _} = Options) -> router_bench:attach(Options);
run(Options) -> router_bench:run(Options).

watch(Options, Socket) ->
    #{node := [Node]} = Known = maps:with(maps:keys(router_bench_watch:defaults()) -- [slice_ms], Options),
    Watched = Known#{node := Node},
    conduct(run, fun(_Ask, Tell) -> ended(router_bench_watch:run(Watched#{progress => Tell})) end, Socket).

passive(#{<<"window_ms">> := WindowMs} = Passive) ->
    case maps:get(<<"spans">>, Passive, []) of
        [] -> #{window_ms => WindowMs, calls => true};
        Spans -> #{window_ms => WindowMs, spans => [prefix(Span) || Span <- Spans]}
    end.

%% The format has made sure that these can be atoms.
prefix(Span) ->
    [binary_to_atom(Atom) || Atom <- binary:split(Span, <<".">>, [global])].

load(Options, Socket) ->
    conduct(load,
            fun(Ask, Tell) ->
                    case unreported(Options#{progress => Tell}) of
                        {ok, Plan} -> served(router_bench_load:run(Plan, fun(What) -> Ask(asked(What)) end));
                        {error, Reason} -> #{refused => refusal(Reason)}
                    end
            end, Socket).

%% What takes its time has a process of its own, so that this one can see the gate go; it gives the last
%% answer.
conduct(What, Work, Socket) ->
    Conductor = self(),
    Ask = fun(Event) ->
                  Conductor ! {asks, self(), Event},
                  receive {Conductor, Answer} -> Answer end
          end,
    Tell = fun(Event) -> Conductor ! {told, Event} end,
    Conducted = spawn_monitor(fun() -> Conductor ! {ran, self(), Work(Ask, Tell)} end),
    running(What, Conducted, Socket).

running(What, {Runner, Monitor} = Conducted, Socket) ->
    receive
        {told, Event} ->
            answer(Socket, told(Event)),
            running(What, Conducted, Socket);
        {asks, Run, Event} ->
            answer(Socket, Event),
            Run ! {self(), next(What, Conducted, Socket)},
            running(What, Conducted, Socket);
        {ran, Runner, Event} ->
            true = demonitor(Monitor, [flush]),
            answer(Socket, Event);
        {'DOWN', Monitor, process, Runner, Reason} ->
            Text = io_lib:format("internal error of the bench: ~0tp", [Reason]),
            answer(Socket, #{failed => text(Text)});
        {tcp_closed, Socket} ->
            gone(What, Conducted)
    end.

next(What, Conducted, Socket) ->
    receive
        {tcp, Socket, Json} ->
            case router_bench_nif:request_decode(Json) of
                {ok, <<"go_on">>} -> go_on;
                _ -> stop
            end;
        {tcp_closed, Socket} ->
            gone(What, Conducted)
    end.

%% The BEAMs of a run hear that this VM ends. Those of a load leave something that has to be removed.
-spec gone(run | explain | load, {pid(), reference()}) -> no_return().
gone(What, _Conducted) when What =:= run; What =:= explain ->
    halt(1);
gone(load, {Runner, Monitor}) ->
    Runner ! {self(), stop}, % if it asks, or will
    ok = router_bench_run:interrupt(Runner, Monitor),
    halt(1).

asked({warm, OsPids}) -> #{warm => maps:map(fun(_Role, OsPid) -> list_to_integer(OsPid) end, OsPids)};
asked(loaded) -> loaded.

served({ok, Requests}) -> #{served => Requests};
served({error, Reason}) -> #{failed => router_bench_failure:sentence(Reason)}.

%% In the shapes of the format.
told({step, Step}) -> #{step => Step};
told({calibrated, #{rps := Rps} = Found}) -> #{calibrated => Found#{rps := round(Rps)}};
told({measured, N, [{{variant, _, _}, _} | _] = Sides}) ->
    #{measured => #{block => N, variants => [#{value => Value, figures => Figures}
                                             || {{variant, _, Value}, Figures} <- Sides]}};
told({measured, N, Sides}) -> #{measured => (maps:from_list(Sides))#{block => N}};
told({table, Table}) -> #{table => text(Table)}.

ended({ok, _Report}) -> ended;
ended({error, {failed, Text, _Report}}) -> #{failed => Text};
ended({error, {interrupted, _Report}}) -> #{failed => <<"the run was stopped">>};
ended({error, already_running}) -> #{failed => <<"another run goes on in this BEAM">>};
ended({error, {not_written, Message}}) -> #{failed => Message};
ended({error, {not_attached, _, _} = Reason}) ->
    #{refused => #{problem => router_bench_failure:sentence(Reason)}};
ended({error, Reason}) -> #{refused => refusal(Reason)}.

text(Text) ->
    unicode:characters_to_binary(Text).

%% Explaining

explain(Options, Socket) ->
    conduct(explain,
            fun(_Ask, _Tell) ->
                    case unreported(Options) of
                        {ok, Plan} -> explained(router_bench_explain:run(Plan));
                        {error, Reason} -> #{refused => refusal(Reason)}
                    end
            end, Socket).

explained({ok, Profiles}) -> #{explained => Profiles};
explained({error, Reason}) -> #{failed => router_bench_failure:sentence(Reason)}.

%% Options

%% A plan of which no report is written.
unreported(Options) ->
    router_bench_plan:new(maps:remove(report_file, Options)).

%% The gate starts this VM in the project, wherever the adapter comes from.
options(Plan) ->
    {ok, Project} = file:get_cwd(),
    Attach = maps:get(<<"attach">>, Plan, #{}),
    maps:merge(maps:from_list([{project_dir, Project}
                               | [option(Key, Value, Plan)
                                  || {Key, Value} <- maps:to_list(Plan), Key =/= <<"key_exponent">>,
                                     Key =/= <<"attach">>]]),
               maps:from_list([attach(Key, Value) || {Key, Value} <- maps:to_list(Attach),
                                                     Key =/= <<"passive">>])).

%% The format has made sure that the nodes' names are some.
attach(<<"nodes">>, Names) -> {node, [binary_to_atom(Name) || Name <- Names]};
attach(<<"cookie_file">>, File) -> {cookie_file, File};
attach(<<"allow">>, Allowed) -> {attach_allow, [named(A, [control, fault, terminate]) || A <- Allowed]}.

%% The plan's names are those of the options. The format has made sure that the adapter is a module's
%% name; no other text becomes an atom.
option(<<"adapter">>, Name, _) -> {adapter, binary_to_atom(Name)};
option(<<"arrivals">>, <<"constant">>, _) -> {arrivals, constant};
option(<<"arrivals">>, <<"poisson">>, _) -> {arrivals, poisson};
option(<<"keys">>, <<"uniform">>, _) -> {keys, uniform};
option(<<"keys">>, <<"zipf">>, #{<<"key_exponent">> := Exponent}) -> {keys, {zipf, Exponent}};
option(<<"candidate">>, Build, _) -> {candidate, build(Build)};
option(<<"replay">>, Build, _) -> {replay, build(Build)};
option(<<"variants">>, #{<<"option">> := Option, <<"values">> := Values}, _) ->
    {variants, #{option => Option, values => [#{value => Value, report_file => File}
                                              || #{<<"value">> := Value, <<"report_file">> := File} <- Values]}};
option(<<"adapter_options">>, Given, _) -> {adapter_options, Given};
option(<<"erl_args">>, Flags, _) -> {erl_args, [unicode:characters_to_list(F) || F <- Flags]};
option(Key, Value, _) ->
    {named(Key, maps:keys(router_bench_plan:defaults())), Value}.

build(Build) ->
    maps:from_list([{named(Key, [lib_dir, report_file, commit, tree]), Value}
                    || {Key, Value} <- maps:to_list(Build)]).

named(Key, Names) ->
    hd([Name || Name <- Names, atom_to_binary(Name) =:= Key]).
