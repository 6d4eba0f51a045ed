%% @doc Readings of the machine's counters, and what they grew by.
%%
%% What cannot be read is absent, never 0. Linux only; elsewhere every reading is empty. The parsers
%% are pure and take any text: garbage is absence.
%%
%% Texts are taken apart with BIFs only: `string' would load the Unicode tables into the measured
%% VM, 2 MB that would be measured as the router's.
-module(router_bench_machine).

-export([read/0, read/1, no_growth/0, grown/3, figures/1]).
-export([cpu_ticks/1, own_ticks/1, throttling/1, pressure_us/1, context_switches/1, count/1,
         cpu_groups/1]).

-export_type([reading/0, growth/0, figures/0]).

%% Processor time in ticks of the kernel, since it booted: `busy' of processes, `steal' of other
%% guests, `total' of all; `own' of this VM. Context switches by thread.
-type reading() :: #{cpu => cpu_ticks(),
                     own_ticks => non_neg_integer(),
                     throttling => throttling(),
                     pressure_us => non_neg_integer(),
                     switches => #{Thread :: binary() => switches()},
                     frequency_khz => non_neg_integer()}.
-type cpu_ticks() :: #{busy := non_neg_integer(), steal := non_neg_integer(),
                       total := non_neg_integer()}.
-type throttling() :: #{periods := non_neg_integer(), us := non_neg_integer()}.
-type switches() :: #{voluntary := non_neg_integer(), involuntary := non_neg_integer()}.
%% What the counters grew by, with the first and the last frequency.
-opaque growth() :: none | #{growing() => non_neg_integer()}.
-type growing() :: busy | steal | total | own | throttled_periods | throttled_us
                 | cpu_pressure_some_us | voluntary_context_switches
                 | involuntary_context_switches | frequency_before_khz | frequency_after_khz.
%% As the report has them.
-type figures() :: #{steal_pct => float(), other_cpu_pct => float(),
                     throttled_periods => non_neg_integer(), throttled_us => non_neg_integer(),
                     cpu_pressure_some_us => non_neg_integer(),
                     voluntary_context_switches => non_neg_integer(),
                     involuntary_context_switches => non_neg_integer(),
                     frequency_before_khz => non_neg_integer(),
                     frequency_after_khz => non_neg_integer()}.

%% @doc Reads this machine.
-spec read() -> reading().
read() ->
    read("/").

%% @doc Reads the `proc' and `sys' below a directory.
-spec read(Root :: file:filename()) -> reading().
read(Root) ->
    Of = fun(Path, Parse) -> parsed(filename:join(Root, Path), Parse) end,
    present([{cpu, Of("proc/stat", fun cpu_ticks/1)},
             {own_ticks, Of("proc/self/stat", fun own_ticks/1)},
             {throttling, own_throttling(Root)},
             {pressure_us, Of("proc/pressure/cpu", fun pressure_us/1)},
             {switches, all_switches(filename:join(Root, "proc/self/task"))},
             {frequency_khz, Of("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
                                fun count/1)}]).

parsed(Path, Parse) ->
    case file:read_file(Path) of
        {ok, Text} -> Parse(Text);
        {error, _} -> absent
    end.

%% The first file that accounts for a quota.
own_throttling(Root) ->
    Groups = case parsed(filename:join(Root, "proc/self/cgroup"), fun cpu_groups/1) of
                 absent -> [<<>>];
                 Found -> Found
             end,
    Read = [parsed(filename:join([Root, "sys/fs/cgroup", Group, "cpu.stat"]), fun throttling/1)
            || Group <- Groups],
    case [Throttling || #{} = Throttling <- Read] of
        [First | _] -> First;
        [] -> absent
    end.

all_switches(Directory) ->
    case file:list_dir(Directory) of
        {ok, Threads} ->
            Read = [{list_to_binary(Thread),
                     parsed(filename:join([Directory, Thread, "status"]), fun context_switches/1)}
                    || Thread <- Threads],
            case present(Read) of
                Switches when map_size(Switches) > 0 -> Switches;
                _ -> absent
            end;
        {error, _} ->
            absent
    end.

%% @doc Nothing was read yet.
-spec no_growth() -> growth().
no_growth() ->
    none.

%% @doc Adds what the counters grew by between two readings. A counter that went back, or that was
%% not there each time, says nothing.
-spec grown(growth(), Before :: reading(), After :: reading()) -> growth().
grown(Sum, Before, After) ->
    Counted = [{busy, [cpu, busy]}, {steal, [cpu, steal]}, {total, [cpu, total]},
               {own, [own_ticks]},
               {throttled_periods, [throttling, periods]}, {throttled_us, [throttling, us]},
               {cpu_pressure_some_us, [pressure_us]}],
    Added = present([{voluntary_context_switches, switched(voluntary, Before, After)},
                     {involuntary_context_switches, switched(involuntary, Before, After)},
                     {frequency_before_khz, at([frequency_khz], Before)},
                     {frequency_after_khz, at([frequency_khz], After)}
                     | [{Name, difference(Path, Before, After)} || {Name, Path} <- Counted]]),
    case Sum of
        none -> Added;
        _ -> maps:intersect_with(fun added/3, Sum, Added)
    end.

added(frequency_before_khz, First, _) -> First;
added(frequency_after_khz, _, Last) -> Last;
added(_Counter, Sum, Grown) -> Sum + Grown.

%% @doc What the counters' growth says; nothing where nothing was read.
-spec figures(growth()) -> figures().
figures(none) ->
    #{};
figures(Growth) ->
    Shares = [{steal_pct, share(at([steal], Growth), at([total], Growth))},
              {other_cpu_pct, share(others(Growth), at([total], Growth))}],
    maps:merge(maps:without([busy, steal, total, own], Growth), present(Shares)).

%% The kernel books processes and processors apart: the difference may be a few ticks below 0.
others(#{busy := Busy, own := Own}) -> max(0, Busy - Own);
others(#{}) -> absent.

share(Part, Total) when is_integer(Part), is_integer(Total), Total > 0 ->
    100.0 * min(Part, Total) / Total;
share(_Part, _Total) ->
    absent.

%% A thread that is new counts from 0; one that has ended took its count along.
switched(Kind, #{switches := Before}, #{switches := After}) ->
    lists:sum([max(0, maps:get(Kind, Switches) - maps:get(Kind, maps:get(Thread, Before, #{}), 0))
               || {Thread, Switches} <- maps:to_list(After)]);
switched(_Kind, _Before, _After) ->
    absent.

difference(Path, Before, After) ->
    case {at(Path, Before), at(Path, After)} of
        {From, To} when is_integer(From), is_integer(To), To >= From -> To - From;
        _ -> absent
    end.

at([], Value) -> Value;
at([Key | Path], Map) when is_map_key(Key, Map) -> at(Path, maps:get(Key, Map));
at(_Path, _Map) -> absent.

%% Parsers

%% @doc Of `/proc/stat': processes are user, nice and system; guests are inside user and nice.
-spec cpu_ticks(binary()) -> cpu_ticks() | absent.
cpu_ticks(Text) ->
    case [counts(Rest) || [<<"cpu">> | Rest] <- words_of_lines(Text)] of
        [[User, Nice, System, Idle, IoWait, Irq, SoftIrq, Steal | _]] ->
            Busy = User + Nice + System,
            #{busy => Busy, steal => Steal,
              total => Busy + Idle + IoWait + Irq + SoftIrq + Steal};
        _ ->
            absent
    end.

%% @doc Of `/proc/self/stat': user and system time are fields 14 and 15. Field 2, the name, is in
%% parentheses and may hold anything, so fields count from behind the last one.
-spec own_ticks(binary()) -> non_neg_integer() | absent.
own_ticks(Text) ->
    case words(lists:last(binary:split(Text, <<")">>, [global]))) of
        [_, _, _, _, _, _, _, _, _, _, _, User, System | _] ->
            case counts([User, System]) of
                [UserTicks, SystemTicks] -> UserTicks + SystemTicks;
                absent -> absent
            end;
        _ ->
            absent
    end.

%% @doc Of a control group's `cpu.stat', of version 2 or 1; absent where no quota is accounted for.
-spec throttling(binary()) -> throttling() | absent.
throttling(Text) ->
    Us = case {keyed(<<"throttled_usec">>, Text), keyed(<<"throttled_time">>, Text)} of
             {Usec, _} when is_integer(Usec) -> Usec;
             {_, Ns} when is_integer(Ns) -> Ns div 1000;
             _ -> absent
         end,
    case keyed(<<"nr_throttled">>, Text) of
        Periods when is_integer(Periods), is_integer(Us) -> #{periods => Periods, us => Us};
        _ -> absent
    end.

%% @doc Of `/proc/pressure/cpu': time in which some task waited for a processor.
-spec pressure_us(binary()) -> non_neg_integer() | absent.
pressure_us(Text) ->
    case [Total || [<<"some">> | Words] <- words_of_lines(Text),
                   <<"total=", Total/binary>> <- Words] of
        [Total] -> count(Total);
        _ -> absent
    end.

%% @doc Of a thread's `status'.
-spec context_switches(binary()) -> switches() | absent.
context_switches(Text) ->
    case {keyed(<<"voluntary_ctxt_switches:">>, Text),
          keyed(<<"nonvoluntary_ctxt_switches:">>, Text)} of
        {Voluntary, Involuntary} when is_integer(Voluntary), is_integer(Involuntary) ->
            #{voluntary => Voluntary, involuntary => Involuntary};
        _ ->
            absent
    end.

%% @doc Of `/proc/self/cgroup': where, below the file system of control groups, the statistics of
%% this process' processor time may be. The version 2 group comes first, then the version 1 group
%% of the controller `cpu', under the name of its mount and under that of the usual link.
-spec cpu_groups(binary()) -> [binary()].
cpu_groups(Text) ->
    Lines = [binary:split(Line, <<":">>, [global])
             || Line <- binary:split(Text, <<"\n">>, [global])],
    [Path || [<<"0">>, <<>>, <<"/", Path/binary>>] <- Lines]
        ++ [<<Mount/binary, Path/binary>>
            || [_, Controllers, <<"/", _/binary>> = Path] <- Lines,
               lists:member(<<"cpu">>, binary:split(Controllers, <<",">>, [global])),
               Mount <- [Controllers, <<"cpu">>]].

%% @doc A text that is one whole number. Longer than 20 digits is no counter of a kernel.
-spec count(binary()) -> non_neg_integer() | absent.
count(Text) ->
    case words(Text) of
        [Word] when byte_size(Word) =< 20 ->
            case [Digit || <<Digit>> <= Word, Digit >= $0, Digit =< $9] of
                Digits when length(Digits) =:= byte_size(Word) -> binary_to_integer(Word);
                _ -> absent
            end;
        _ ->
            absent
    end.

keyed(Key, Text) ->
    case [Value || [First, Value] <- words_of_lines(Text), First =:= Key] of
        [Value] -> count(Value);
        _ -> absent
    end.

counts(Words) ->
    Counts = [count(Word) || Word <- Words],
    case lists:member(absent, Counts) of
        true -> absent;
        false -> Counts
    end.

words_of_lines(Text) ->
    [words(Line) || Line <- binary:split(Text, <<"\n">>, [global])].

%% By bytes: a kernel's text need not be UTF-8.
words(Line) ->
    binary:split(Line, [<<" ">>, <<"\t">>, <<"\n">>], [global, trim_all]).

present(Pairs) ->
    maps:from_list([{Key, Value} || {Key, Value} <- Pairs, Value =/= absent]).
