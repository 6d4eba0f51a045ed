%% @doc Which modules are traced, which of them are the project's, and what a process runs, by a name that
%% both builds have.
%% @private
-module(router_bench_scope).

-export([new/1, with_workers/3, modules/1, hidden/1, is_hidden/2, is_own/2, who/2, started/2]).
-export([name/1, call/1]).

-export_type([scope/0, who/0]).

-opaque scope() :: #{own := [file:filename()], hidden := #{module() => []},
                     workers := #{pid() => who()}}.
%% Nothing is said of the bench's own processes.
-type who() :: bench | {Name :: binary(), IsOwn :: boolean()}.

-define(CHARACTERS_MAX, 120).

%% Parts of the emulator that are processes of their own, or that tracing itself needs; and the peer's.
-define(UNTRACED, [erl_tracer, erts_code_purger, erts_dirty_process_signal_handler,
                   erts_literal_area_collector, init, peer, prim_eval]).

%% @doc `Own' are the directories of the project's applications. The bench's own modules are hidden, but not
%% what it plants.
-spec new(Own :: [file:filename()]) -> scope().
new(Own) ->
    Bench = filename:dirname(code:which(?MODULE)),
    Hidden = [list_to_atom(filename:basename(File, ".beam"))
              || File <- filelib:wildcard(filename:join(Bench, "*.beam"))],
    #{own => [filename:absname(Dir) || Dir <- Own], workers => #{},
      hidden => maps:from_list([{Module, []} || Module <- (Hidden -- [router_bench_fault]) ++ ?UNTRACED])}.

%% @doc The same where these processes route the requests.
-spec with_workers([pid()], module(), scope()) -> scope().
with_workers(Pids, Adapter, Scope) ->
    Who = {call({Adapter, route, 2}), false},
    Scope#{workers := maps:from_list([{Pid, Who} || Pid <- Pids])}.

%% @doc The modules that are loaded and may be traced.
-spec modules(scope()) -> [module()].
modules(#{hidden := Hidden}) ->
    [Module || {Module, _} <- code:all_loaded(), not is_map_key(Module, Hidden)].

%% @doc The modules that must not be traced.
-spec hidden(scope()) -> [module()].
hidden(#{hidden := Hidden}) ->
    maps:keys(Hidden).

%% @doc Whether that is the name of one of these.
-spec is_hidden(module(), scope()) -> boolean().
is_hidden(Module, #{hidden := Hidden}) ->
    is_map_key(Module, Hidden).

%% @doc Whether a module is of the project, and neither Erlang/OTP's nor a dependency's.
-spec is_own(module(), scope()) -> boolean().
is_own(Module, #{own := Own}) ->
    case code:which(Module) of
        [_ | _] = File ->
            Dir = filename:dirname(File),
            lists:member(Dir, Own) andalso not is_fetched(Module, Dir);
        _ ->
            false
    end.

%% What rebar3 has fetched, it keeps and compiles where it puts what it compiles of the project: only the source
%% is elsewhere then.
is_fetched(Module, Dir) ->
    Source = filename:split(proplists:get_value(source, Module:module_info(compile), "")),
    is_fetched_source(Source, filename:basename(filename:dirname(Dir))).

is_fetched_source(["_build", _Profile, "lib", Application | _], Application) -> true;
is_fetched_source([_ | Rest], Application) -> is_fetched_source(Rest, Application);
is_fetched_source([], _Application) -> false.

%% @doc What a process runs; `gone' when it has ended.
-spec who(pid(), scope()) -> who() | gone.
who(Pid, #{workers := Workers} = Scope) ->
    case Workers of
        #{Pid := Who} ->
            Who;
        #{} ->
            case process_info(Pid, [registered_name, initial_call, current_stacktrace]) of
                undefined -> gone;
                [{_, Name}, {_, Call}, {_, Stack}] -> named(Name, initial(Pid, Call, Stack), Scope)
            end
    end.

%% @doc What a process runs that is said to have been started with a call, for one that may have ended.
-spec started({module(), atom(), [term()]}, scope()) -> who().
started({proc_lib, init_p, [_Parent, _Ancestors, Fun]}, Scope) -> started({erlang, apply, [Fun, []]}, Scope);
started({proc_lib, init_p, [_Parent, _Ancestors, M, F, Arguments]}, Scope) ->
    started({M, F, Arguments}, Scope);
started({erlang, apply, [Fun, Arguments]}, Scope) when is_function(Fun), is_list(Arguments) ->
    {module, Module} = erlang:fun_info(Fun, module),
    {name, Name} = erlang:fun_info(Fun, name),
    {arity, Arity} = erlang:fun_info(Fun, arity),
    {env, Captured} = erlang:fun_info(Fun, env),
    named([], {Module, Name, Arity + length(Captured)}, Scope);
started({gen, init_it, [_Behaviour, _Starter, _Parent, Module, _Arguments, _Options]}, Scope) ->
    named([], {Module, init, 1}, Scope);
started({gen, init_it, [_Behaviour, _Starter, _Parent, _Name, Module, _Arguments, _Options]}, Scope) ->
    named([], {Module, init, 1}, Scope);
started({M, F, Arguments}, Scope) ->
    named([], {M, F, length(Arguments)}, Scope).

named(Name, {M, F, _} = Call, #{hidden := Hidden} = Scope) ->
    Module = case M of
                 supervisor -> F; % as proc_lib says it
                 _ -> M
             end,
    case {is_map_key(M, Hidden), Name} of
        {true, _} when M =:= peer -> bench;
        {true, []} -> bench;
        {_, []} -> {call(Call), is_own(Module, Scope)};
        {_, _} -> {name(Name), is_own(Module, Scope)}
    end.

%% Of a process that is nothing but a fun, the outermost function that it is in says more.
initial(Pid, {proc_lib, init_p, _}, _Stack) -> proc_lib:translate_initial_call(Pid);
initial(_Pid, {erlang, apply, 2}, [_ | _] = Stack) ->
    {M, F, Arity, _} = lists:last(Stack),
    {M, F, Arity};
initial(_Pid, Call, _Stack) -> Call.

%% @doc A name for one line.
-spec name(atom()) -> binary().
name(Name) ->
    router_bench_text:line(atom_to_list(Name), ?CHARACTERS_MAX).

%% @doc A function for one line.
-spec call(mfa()) -> binary().
call({M, F, Arity}) ->
    router_bench_text:line(io_lib:format("~ts:~ts/~b", [M, F, Arity]), ?CHARACTERS_MAX).
