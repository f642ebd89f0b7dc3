/* Parses the file as an XML document, checks it against the DTD that it carries and writes it out. */
#include <stddef.h>
#include <stdint.h>

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/valid.h>
#include <libxml/xmlerror.h>

static void quiet(void *context, const char *message, ...) {}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536)
        return 0;
    xmlSetGenericErrorFunc(NULL, quiet);
    xmlDocPtr document = xmlReadMemory((const char *)data, (int)size, "file.xml", NULL,
                                       XML_PARSE_DTDVALID | XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (document == NULL)
        return 0;
    xmlChar *text = NULL;
    int length = 0;
    xmlDocDumpMemory(document, &text, &length);
    xmlFree(text);
    xmlFreeDoc(document);
    return 0;
}
