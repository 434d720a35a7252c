package cdc;

import io.debezium.spi.converter.CustomConverter;
import io.debezium.spi.converter.RelationalColumn;
import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.sql.Types;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.chrono.IsoEra;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.connect.data.SchemaBuilder;

/**
 * Hands on, as the text Postgres shows, the values that Debezium 3.7 itself rounds, flattens or
 * loses: arrays (of several dimensions, with other bounds, with NaN or NULL; microseconds of times),
 * times with a time zone, bit strings, geometric types; and the dates and timestamps that its
 * numbers can't tell apart, infinity among them. Everything else stays as Debezium writes it.
 *
 * <p>Bytes, and the texts of some types that Debezium doesn't know, it hands on in base64 as
 * Debezium does; but Debezium writes null where a change did not carry the value (TOAST without the full
 * replica identity).
 *
 * <p>What it can't read it hands on as the placeholder for unavailable values, which the target
 * never takes for a value.
 */
public final class ExactText implements CustomConverter<SchemaBuilder, RelationalColumn> {
    private static final String UNAVAILABLE = "__debezium_unavailable_value";

    // Object identifiers of built-in types (pg_type.dat), which never change. A domain has its base type's.
    private static final Set<Integer> SHOWN = Set.of(1266, 1560, 1562); // timetz, bit, varbit
    private static final Set<Integer> GEOMETRIC =
            Set.of(600, 601, 602, 603, 604, 628, 718); // point, lseg, path, box, polygon, line, circle
    private static final int BYTEA = 17;
    // Those of variable length: tsquery, jsonpath, multiranges, snapshots.
    private static final Set<Integer> UNKNOWN =
            Set.of(3615, 4072, 4451, 4532, 4533, 4534, 4535, 4536, 2970, 5038);
    // Of extensions, whose numbers differ from database to database.
    private static final Set<String> UNKNOWN_NAMES = Set.of("cube", "seg", "lquery", "ltxtquery");
    private static final int DATE = 1082;
    private static final int TIMESTAMP = 1114;

    // What the target's dates and times can hold; within, Debezium's numbers are exact.
    private static final LocalDate FIRST = LocalDate.of(1900, 1, 1);
    private static final LocalDate LAST = LocalDate.of(2299, 12, 31);
    // What Postgres can hold; beyond lie the values by which its driver means infinity.
    private static final LocalDate NEVER_BEFORE = LocalDate.of(-4713, 11, 24);
    private static final LocalDate LAST_DATE = LocalDate.of(5874897, 12, 31);
    // java.sql.Date, which only Debezium's own snapshot has, counts in the Julian calendar before, takes
    // years BC for others, and has 1582-10-15 to 24 for the ten days before them, too.
    private static final LocalDate GREGORIAN = LocalDate.of(1582, 10, 25);
    private static final Pattern PLAIN_TIMESTAMP =
            Pattern.compile("(\\d{4}-\\d\\d-\\d\\d) (\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?)");
    private static final DateTimeFormatter CLOCK = DateTimeFormatter.ofPattern("HH:mm:ss");

    private static final Pattern NUMBER = Pattern.compile("-?\\d+\\.\\d+(E-?\\d+)?");

    @Override
    public void configure(Properties settings) {}

    @Override
    public void converterFor(RelationalColumn column, ConverterRegistration<SchemaBuilder> registration) {
        Function<Object, String> text = textOf(column);
        if (text != null) {
            registration.register(
                    SchemaBuilder.string().optional(), value -> value == null ? null : text.apply(value));
        }
    }

    private static Function<Object, String> textOf(RelationalColumn column) {
        int type = column.nativeType();
        if (column.jdbcType() == Types.ARRAY) {
            return value -> value instanceof java.sql.Array ? value.toString() : UNAVAILABLE;
        }
        if (SHOWN.contains(type)) {
            return value -> isText(value) ? value.toString() : UNAVAILABLE;
        }
        if (GEOMETRIC.contains(type)) {
            return value -> isText(value) ? numbersAsPostgres(value.toString()) : UNAVAILABLE;
        }
        if (type == BYTEA) {
            return value -> value instanceof byte[] ? base64((byte[]) value) : UNAVAILABLE;
        }
        if (isUnknown(column)) {
            return value -> isText(value) ? base64(value.toString().getBytes(StandardCharsets.UTF_8)) : UNAVAILABLE;
        }
        return type == DATE ? ExactText::date : type == TIMESTAMP ? ExactText::timestamp : null;
    }

    // Not the types that somebody made: the driver looks for their kind by name alone, and an enum that
    // shares its name with another schema's composite type looks like one.
    private static boolean isUnknown(RelationalColumn column) {
        return UNKNOWN.contains(column.nativeType()) || UNKNOWN_NAMES.contains(column.typeName());
    }

    private static String base64(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }

    // The driver's PGobject and its kinds, by name: this is compiled without the driver.
    private static boolean isText(Object value) {
        return value instanceof String || value.getClass().getName().startsWith("org.postgresql.");
    }

    private static String date(Object value) {
        if (value instanceof java.sql.Date) {
            // Of the JVM's time zone, which is UTC.
            long epochDay = Math.floorDiv(((java.sql.Date) value).getTime(), 86_400_000L);
            LocalDate day = LocalDate.ofEpochDay(Math.min(epochDay, LocalDate.MAX.toEpochDay()));
            return epochDay < GREGORIAN.toEpochDay() ? UNAVAILABLE : date(day);
        }
        if (!(value instanceof LocalDate)) {
            return UNAVAILABLE;
        }
        LocalDate day = (LocalDate) value;
        if (!day.isBefore(FIRST) && !day.isAfter(LAST)) {
            return Long.toString(day.toEpochDay());
        }
        String infinity = infinity(day);
        return infinity != null ? infinity : year(day) + era(day);
    }

    private static String timestamp(Object value) {
        if (value instanceof String) {
            Matcher plain = PLAIN_TIMESTAMP.matcher((String) value);
            return plain.matches()
                    ? timestamp(LocalDateTime.parse(plain.group(1) + "T" + plain.group(2)).toInstant(ZoneOffset.UTC))
                    : (String) value;
        }
        if (!(value instanceof Instant)) {
            return UNAVAILABLE;
        }
        Instant instant = (Instant) value;
        LocalDateTime time = LocalDateTime.ofInstant(instant, ZoneOffset.UTC);
        LocalDate day = time.toLocalDate();
        if (!day.isBefore(FIRST) && !day.isAfter(LAST)) {
            return Long.toString(ChronoUnit.MICROS.between(Instant.EPOCH, instant));
        }
        String infinity = infinity(day);
        if (infinity != null) {
            return infinity;
        }
        int micros = time.getNano() / 1000;
        String fraction = micros == 0 ? "" : String.format(Locale.ROOT, ".%06d", micros).replaceFirst("0+$", "");
        return year(day) + " " + CLOCK.format(time) + fraction + era(day);
    }

    private static String infinity(LocalDate day) {
        return day.isAfter(LAST_DATE) ? "infinity" : day.isBefore(NEVER_BEFORE) ? "-infinity" : null;
    }

    private static String year(LocalDate day) {
        int year = day.getYear() > 0 ? day.getYear() : 1 - day.getYear();
        return String.format(Locale.ROOT, "%04d-%02d-%02d", year, day.getMonthValue(), day.getDayOfMonth());
    }

    private static String era(LocalDate day) {
        return day.getEra() == IsoEra.BCE ? " BC" : "";
    }

    private static String numbersAsPostgres(String text) {
        return NUMBER.matcher(text).replaceAll(found -> numberAsPostgres(found.group()));
    }

    /** A number in Postgres' notation: an exponent below 1e-4 and from 1e15 on (float8out). */
    private static String numberAsPostgres(String java) {
        double value = Double.parseDouble(java);
        if (value == 0) {
            return java.startsWith("-") ? "-0" : "0";
        }
        String minus = value < 0 ? "-" : "";
        BigDecimal digits = digitsAsPostgres(Math.abs(value));
        int exponent = digits.precision() - digits.scale() - 1;
        if (exponent >= -4 && exponent < 15) {
            return minus + digits.toPlainString();
        }
        String unscaled = digits.unscaledValue().toString();
        String mantissa = unscaled.length() == 1 ? unscaled : unscaled.charAt(0) + "." + unscaled.substring(1);
        String sign = exponent < 0 ? "-" : "+";
        return minus + mantissa + "e" + sign + String.format(Locale.ROOT, "%02d", Math.abs(exponent));
    }

    /**
     * The fewest digits that are nearer to this positive number than to any other one, and of those the nearest.
     *
     * <p>Java (since 19) also takes digits that lie in the very middle between two numbers and are read as the even
     * one; Postgres doesn't trust its readers with that (src/common/d2s.c, acceptBounds).
     */
    private static BigDecimal digitsAsPostgres(double value) {
        BigDecimal exact = new BigDecimal(value);
        // By the steps and not by the numbers beside it: the largest one has none above.
        BigDecimal below = exact.subtract(half(value - Math.nextDown(value)));
        BigDecimal above = exact.add(half(Math.ulp(value)));
        for (int precision = 1; ; precision++) {
            for (RoundingMode mode : List.of(RoundingMode.HALF_EVEN, RoundingMode.FLOOR, RoundingMode.CEILING)) {
                BigDecimal digits = exact.round(new MathContext(precision, mode));
                if (digits.compareTo(below) > 0 && digits.compareTo(above) < 0) {
                    return digits.stripTrailingZeros();
                }
            }
        }
    }

    private static BigDecimal half(double step) {
        return new BigDecimal(step).divide(BigDecimal.valueOf(2));
    }
}
