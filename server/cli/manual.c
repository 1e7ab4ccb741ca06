/* Prints the manual pages. Source: man(7). */
#include "manual.h"

#include "cli.h"
#include "server/base/version.h"

#include <string.h>

/* Print the text of a paragraph. Escapes keep hyphens, and keep lines from being read as requests. */
static void put(FILE *out, const char *text)
{
    bool line_begins = true;
    for (; *text; text++) {
        if (line_begins && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
        line_begins = *text == '\n';
    }
}

static void head(FILE *out, const char *title, const char *section, const char *name, const char *sentence)
{
    fprintf(out, ".TH %s %s \"\" \"cellserve %s\" \"cellserve\"\n.SH NAME\n%s \\- %s\n", title, section,
            CELLSERVE_VERSION, name, sentence);
}

/* Print ".TP" with a term in bold, then a text. */
static void entry(FILE *out, const char *term, const char *argument, const char *text)
{
    fputs(".TP\n.B ", out);
    put(out, term);
    if (argument) {
        fputs(" \\fI", out);
        put(out, argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put(out, text);
    fputc('\n', out);
}

static void commands(FILE *out)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)); i++) {
        fputs(".SS ", out);
        put(out, command->name);
        fputs("\n.B cellserve ", out);
        put(out, command->name);
        fputs("\n", out);
        put(out, command->usage);
        fputs("\n.PP\n", out);
        put(out, command->help);
        fputc('\n', out);
        for (const struct command_flag *flag = command_flags; flag->flag; flag++)
            if (command_takes_flag(command->name, flag))
                entry(out, flag->flag, flag->argument, flag->help);
    }
}

void manual_commands(FILE *out)
{
    head(out, "CELLSERVE", "1", "cellserve", "serve trained recurrent models over HTTP");
    fputs(".SH SYNOPSIS\n.B cellserve\n.I command\n.RI [ options ]\n.br\n.B cellserve \\-\\-version\n.br\n"
          ".B cellserve help\n.RI [ command ]\n.SH DESCRIPTION\n",
          out);
    put(out, "cellserve loads models of Keras, PyTorch and ONNX and answers predictions over HTTP. A model is a "
             ".keras, .h5 or .onnx\n"
             "file, a folder with model.json beside one weights file, a folder of numbered versions, or a .json layer\n"
             "configuration alone. Files are recognized by their content.\n");
    fputs(".SH COMMANDS\n", out);
    commands(out);
    fputs(".SH SETTINGS\n", out);
    put(out, "Every setting can stand in the configuration file (limits.max_rows), in the environment\n"
             "(CELLSERVE_LIMITS_MAX_ROWS) and on the command line (--limits-max-rows). The environment overrides the "
             "file,\nand a flag overrides both.\n");
    for (const struct setting *row = settings_table; row->key; row++) {
        char flag[64], text[512];
        settings_flag_name(row, flag, sizeof flag);
        snprintf(text, sizeof text, "%s (%s)", row->help, row->fallback);
        entry(out, flag, row->choices ? row->choices : row->type == SETTING_BOOL ? "true|false" : "value", text);
    }
    fputs(".SH ENVIRONMENT\n", out);
    entry(out, "CELLSERVE_*", NULL,
          "The settings, as above. A variable with _FILE at the end of its name gives a file whose first line is the "
          "value.");
    entry(out, "PORT", NULL, "The port, if CELLSERVE_PORT is not set.");
    entry(out, "CELLSERVE_ISA", NULL, "Force the kernels: avx512, avx2, neon, openblas or c.");
    entry(out, "NO_COLOR", NULL, "If set: no colour on terminals.");
    fputs(".SH SIGNALS\n", out);
    entry(out, "SIGTERM", NULL,
          "Accept requests for limits.drain_delay_ms more, answer every accepted request, then end.");
    entry(out, "SIGINT", NULL, "The same without the delay. A second signal ends the process within 2 seconds.");
    entry(out, "SIGHUP", NULL, "Load every model again from its files.");
    fputs(".SH EXIT STATUS\n", out);
    entry(out, "0", NULL, "success");
    entry(
        out, "1", NULL,
        "a bad model or configuration, with a line for each problem on standard error; verify: outside the tolerance");
    entry(out, "2", NULL, "bad usage");
    fputs(".SH EXAMPLES\n.EX\ncellserve serve model.keras\ncellserve predict \\-\\-sample model.keras >request.json\n"
          "curl \\-s http://127.0.0.1:8080/predict \\-d @request.json\n.EE\n.SH SEE ALSO\n.BR cellserve.json (5)\n",
          out);
}

void manual_settings(FILE *out)
{
    head(out, "CELLSERVE.JSON", "5", "cellserve.json", "configuration of cellserve");
    fputs(".SH DESCRIPTION\n", out);
    put(out, "A JSON object (RFC 8259). Unknown keys are errors. Paths are relative to the file.\n"
             "\"cellserve check --config cellserve.json\" finds every problem in the file.\n");
    fputs(".SH KEYS\n", out);
    for (const struct setting *row = settings_table; row->key; row++) {
        char text[640];
        if (row->type == SETTING_INT)
            snprintf(text, sizeof text, "%s. A whole number from %lld to %lld; default %s.", row->help,
                     (long long)row->min, (long long)row->max, row->fallback);
        else
            snprintf(text, sizeof text, "%s. %s%s; default %s.", row->help,
                     row->type == SETTING_BOOL ? "true or false"
                     : row->choices            ? "One of "
                                               : "A text",
                     row->choices ? row->choices : "", row->fallback);
        entry(out, row->key, NULL, text);
    }
    fputs(".PP\nA dot in a name stands for a section: limits.max_rows is the key max_rows of the object limits.\n"
          ".SH MODELS\n",
          out);
    put(out, "\"models\" is a list of objects. Each has a name, and either a path or a layer. The keys of a model:\n");
    for (const struct setting_of_model *key = settings_of_models; key->key; key++)
        entry(out, key->key, NULL, key->help);
    fputs(".SH EXAMPLE\n.EX\n", out);
    put(out,
        "{\"port\": 8080,\n \"models\": [{\"name\": \"digits\", \"path\": \"models/digits.keras\", \"watch\": true}],\n"
        " \"limits\": {\"max_rows\": 1024},\n \"log\": {\"format\": \"json\"}}\n");
    fputs(".EE\n.SH SEE ALSO\n.BR cellserve (1)\n", out);
}
