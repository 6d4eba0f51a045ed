%% @doc Answers for what the bench does in a node that runs already: loads its code there, and takes
%% everything back when the run ends, when whoever conducts it dies, when the connection is cut, and when
%% the time is over.
%%
%% It is the group leader of whatever the bench starts in the node, so that all of it can be found: that is
%% inherited, and an application that is started has another. What these processes have set in the VM goes
%% with them (`system_monitor', `scheduler_wall_time'), as do their tables and names. An adapter has its
%% `detach/1', which is called here where the side cannot any more.
%%
%% Code is deleted and purged, at last its own; a process of somebody else that runs it at that moment is not
%% killed for that, and its module stays as old code. The native library comes along, in a file that is there
%% while it is loaded; it is never unmapped, and its name, which is the build's and the node's, has the system
%% find it when it comes again. Atoms stay.
%% @private
-module(router_bench_guardian).

-export([start/2, call/3, differing/1, entrust/1, release/1]).

-export_type([luggage/0, refusal/0]).

%% What comes along: modules in the order of loading, the application's description, and the native library,
%% with the file's name as the emulator wants it, that is without `.so', in a directory of its own. `limit_ms': the
%% run's; `ending_ms': of a callback that takes back.
-type luggage() :: #{modules := [{module(), file:filename(), Code :: binary(), Digest :: binary()}],
                     application := none | {application, atom(), [tuple()]},
                     library := none | {file:filename(), Code :: binary()},
                     leader := pid(), limit_ms := pos_integer(), ending_ms := pos_integer()}.
-type refusal() :: already_attached
                 | {other_build, module()}
                 | {still_runs, module()} % of an earlier run
                 | {not_loaded, module(), Reason :: term(), OtpRelease :: string()}
                 | {no_library, Dir :: file:filename(), Reason :: term()}
                 | native_library_not_loaded.

%% A process that has just returned from a callback may still be about to leave it.
-define(PURGE_TRIES, 25).
-define(PURGE_AGAIN_MS, 20).
%% A registered process that answers from memory.
-define(ANSWER_MS, 5000).

-record(guard, {conductor :: pid(),
                monitor :: reference(),
                leader :: pid() | undefined,
                own :: boolean(),          % whether this module came with the conductor
                loaded = [] :: [module()], % the latest first
                application = none :: none | atom(),
                entrusted = [] :: [{reference(), {module(), atom(), [term()]}}], % the latest first
                ending_ms = 0 :: non_neg_integer()}).

%% @doc Starts the guardian of this node; whether its module was loaded for that is the caller's to say. It
%% says `{Pid, attached}', or `{Pid, refused, refusal()}' and ends.
-spec start(Conductor :: pid(), Own :: boolean()) -> pid().
start(Conductor, Own) ->
    spawn(fun() ->
                  Guard = #guard{conductor = Conductor, monitor = monitor(process, Conductor), own = Own},
                  try register(?MODULE, self()) of
                      true -> await_luggage(Guard)
                  catch
                      % Whoever has the name brought the module, or will take it away.
                      error:badarg -> tell(Conductor, {self(), refused, already_attached})
                  end
          end).

%% @doc Calls a function in a process that is the bench's; whatever it starts is too.
-spec call(module(), atom(), [term()]) -> term().
call(Module, Function, Arguments) ->
    case whereis(?MODULE) of
        undefined ->
            {error, detached};
        Guardian ->
            true = group_leader(Guardian, self()),
            apply(Module, Function, Arguments)
    end.

%% @doc Of some modules those that are loaded here in another build.
-spec differing([{module(), Digest :: binary()}]) -> [module()].
differing(Modules) ->
    [Module || {Module, Digest} <- Modules, erlang:module_loaded(Module),
               erlang:get_module_info(Module, md5) =/= Digest].

%% @doc Has something done should the caller not be able to.
-spec entrust({module(), atom(), [term()]}) -> reference().
entrust(Undo) ->
    Reference = make_ref(),
    ok = ask({entrust, Reference, Undo}),
    Reference.

%% @doc It has been done.
-spec release(reference()) -> ok.
release(Reference) ->
    ask({release, Reference}).

ask(What) ->
    Monitor = monitor(process, ?MODULE),
    ?MODULE ! {What, self(), Monitor},
    receive
        {Monitor, Answer} ->
            true = demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, _} ->
            exit(detached)
    after ?ANSWER_MS -> exit({no_answer, ?MODULE})
    end.

%% In the process

await_luggage(#guard{conductor = Conductor, monitor = Monitor} = Guard) ->
    receive
        {load, Conductor, #{limit_ms := LimitMs, leader := Leader, ending_ms := EndingMs} = Luggage} ->
            case load(Luggage, Guard#guard{leader = Leader, ending_ms = EndingMs}) of
                {ok, Loaded} ->
                    true = erlang:garbage_collect(), % what came along is none of the node's memory
                    ok = tell(Conductor, {self(), attached}),
                    guard(Loaded, erlang:start_timer(LimitMs, self(), over));
                {error, Refusal, Loaded} ->
                    ok = tell(Conductor, {self(), refused, Refusal}),
                    take_back(Loaded)
            end;
        {'DOWN', Monitor, process, Conductor, _} ->
            take_back(Guard)
    end.

guard(#guard{conductor = Conductor, monitor = Monitor, entrusted = Entrusted} = Guard, Timer) ->
    receive
        {io_request, _, _, _} = Request ->
            ok = forward(Request, Guard),
            guard(Guard, Timer);
        {{entrust, Reference, Undo}, From, Tag} ->
            From ! {Tag, ok},
            guard(Guard#guard{entrusted = [{Reference, Undo} | Entrusted]}, Timer);
        {{release, Reference}, From, Tag} ->
            From ! {Tag, ok},
            guard(Guard#guard{entrusted = lists:keydelete(Reference, 1, Entrusted)}, Timer);
        {clear, From, Tag} ->
            Cleared = clear(Guard),
            From ! {Tag, ok},
            guard(Cleared, Timer);
        {detach, Conductor} ->
            take_back(Guard);
        {'DOWN', Monitor, process, Conductor, _} ->
            take_back(Guard#guard{leader = whereis(user)});
        {timeout, Timer, over} ->
            take_back(Guard)
    end.

%% What the bench's processes print belongs on the conductor's console.
forward(Request, #guard{leader = Leader}) when is_pid(Leader) ->
    ok = tell(Leader, Request);
forward({io_request, From, ReplyAs, _}, _Guard) ->
    From ! {io_reply, ReplyAs, {error, terminated}},
    ok.

%% The node makes no connection of its own to whoever has gone.
tell(Pid, Message) ->
    _ = erlang:send(Pid, Message, [noconnect]),
    ok.

%% Loading: nothing that is there is replaced.

load(#{modules := Modules, library := Library} = Luggage, Guard) ->
    There = differing([{Module, Digest} || {Module, _, _, Digest} <- Modules]),
    Running = [Module || {Module, _, _, _} <- Modules, not erlang:module_loaded(Module),
                         not code:soft_purge(Module)],
    case {There, Running} of
        {[Module | _], _} ->
            {error, {other_build, Module}, Guard};
        {[], [Module | _]} ->
            {error, {still_runs, Module}, Guard};
        {[], []} ->
            with_library(Library, fun() -> load_modules(Modules, described(Luggage, Guard)) end, Guard)
    end.

with_library(none, Load, _Guard) ->
    Load();
with_library({Library, Code}, Load, Guard) ->
    Dir = filename:dirname(Library),
    _ = file:del_dir_r(Dir), % of a node of this name that was killed meanwhile
    case file:make_dir(Dir) of
        ok ->
            try written(Dir, Library ++ ".so", Code) of
                ok -> Load();
                {error, Reason} -> {error, {no_library, Dir, Reason}, Guard}
            after
                file:del_dir_r(Dir)
            end;
        {error, Reason} ->
            {error, {no_library, Dir, Reason}, Guard}
    end.

%% Nobody else may put another there.
written(Dir, File, Code) ->
    case file:change_mode(Dir, 8#700) of
        ok -> file:write_file(File, Code);
        {error, Reason} -> {error, Reason}
    end.

described(#{application := none}, Guard) ->
    Guard;
described(#{application := {application, Name, _} = Description}, Guard) ->
    case application:load(Description) of
        ok -> Guard#guard{application = Name};
        {error, _There} -> Guard
    end.

load_modules([], Guard) ->
    {ok, Guard};
load_modules([{Module, File, Code, _Digest} | Rest], #guard{loaded = Loaded} = Guard) ->
    case erlang:module_loaded(Module) orelse code:load_binary(Module, File, Code) of
        true ->
            load_modules(Rest, Guard);
        {module, Module} ->
            load_modules(Rest, Guard#guard{loaded = [Module | Loaded]});
        {error, on_load_failure} when Module =:= router_bench_nif ->
            {error, native_library_not_loaded, Guard};
        {error, Reason} ->
            {error, {not_loaded, Module, Reason, erlang:system_info(otp_release)}, Guard}
    end.

%% Taking back

%% Nothing of the bench runs after it. Who is killed may have begun something that its adapter takes back.
clear(#guard{entrusted = Entrusted, ending_ms = EndingMs} = Guard) ->
    ok = kill_all(),
    lists:foreach(fun({_, Undo}) -> undo(Undo, EndingMs, Guard) end, Entrusted),
    ok = kill_all(),
    Guard#guard{entrusted = []}.

kill_all() ->
    Self = self(),
    case [Pid || Pid <- processes(), Pid =/= Self,
                 process_info(Pid, group_leader) =:= {group_leader, Self}] of
        [] ->
            ok;
        Pids ->
            Monitors = [begin exit(Pid, kill), monitor(process, Pid) end || Pid <- Pids],
            lists:foreach(fun(Monitor) -> receive {'DOWN', Monitor, process, _, _} -> ok end end, Monitors),
            kill_all()
    end.

undo({Module, Function, Arguments}, EndingMs, Guard) ->
    Guardian = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
                                           true = group_leader(Guardian, self()),
                                           apply(Module, Function, Arguments)
                                   end),
    undone(Pid, Monitor, erlang:monotonic_time(millisecond) + EndingMs, Guard).

undone(Pid, Monitor, DeadlineMs, Guard) ->
    receive
        {'DOWN', Monitor, process, Pid, _} ->
            ok;
        {io_request, _, _, _} = Request ->
            ok = forward(Request, Guard),
            undone(Pid, Monitor, DeadlineMs, Guard)
    after max(0, DeadlineMs - erlang:monotonic_time(millisecond)) ->
            true = exit(Pid, kill),
            receive {'DOWN', Monitor, process, Pid, _} -> ok end
    end.

take_back(Guard) ->
    #guard{loaded = Loaded, application = Application, conductor = Conductor, own = Own} = clear(Guard),
    _ = [application:unload(Application) || Application =/= none],
    Kept = [Module || Module <- Loaded, not is_unloaded(Module)],
    ok = tell(Conductor, {self(), detached, Kept}),
    ended(Own).

%% The last call leaves this module, so that nothing of this process is in what is purged.
ended(false) ->
    ok;
ended(true) ->
    _ = code:delete(?MODULE),
    code:purge(?MODULE).

is_unloaded(Module) ->
    code:delete(Module) andalso is_purged(Module, ?PURGE_TRIES).

is_purged(_Module, 0) ->
    false;
is_purged(Module, Tries) ->
    code:soft_purge(Module) orelse
        begin
            receive after ?PURGE_AGAIN_MS -> ok end,
            is_purged(Module, Tries - 1)
        end.
