package rotation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seriatim/seriatim/guest-sdk/go/seriatim"
)

// text is written with the escapes that JSON demands and no others; encoding/json adds some.
type text string

func (t text) MarshalJSON() ([]byte, error) {
	short := map[byte]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`}
	out := []byte{'"'}
	for i := 0; i < len(t); i++ {
		if escape, ok := short[t[i]]; ok {
			out = append(out, escape...)
		} else if t[i] < 0x20 {
			out = fmt.Appendf(out, `\u%04x`, t[i])
		} else {
			out = append(out, t[i])
		}
	}
	return append(out, '"'), nil
}

// encode writes the fields of structs in their order, which is that of their names, without spaces.
func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, seriatim.Reject("cannot be written as JSON: %s", err)
	}
	return unescaped(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), nil
}

var escapes = regexp.MustCompile(`\\(u202[89]|.)`)

// unescaped has U+2028 and U+2029 as they are: from Go 1.27 on encoding/json escapes them also in what [text] has written.
func unescaped(encoded []byte) []byte {
	if !bytes.Contains(encoded, []byte(`\u202`)) {
		return encoded
	}
	return escapes.ReplaceAllFunc(encoded, func(escape []byte) []byte {
		switch string(escape) {
		case `\u2028`:
			return []byte("\u2028")
		case `\u2029`:
			return []byte("\u2029")
		}
		return escape
	})
}

// object is a JSON object, member by member: encoding/json alone would take `TAILNUM` for `tailnum`, and a missing number for 0.
type object struct {
	what    string
	members map[string]json.RawMessage
	err     error
}

func decode(what string, value []byte) *object {
	o := &object{what: what}
	if !utf8.Valid(value) {
		o.wrong("not UTF-8")
	} else if err := json.Unmarshal(value, &o.members); err != nil {
		o.wrong("%s", err)
	} else if o.members == nil {
		o.wrong("not an object")
	}
	return o
}

// wrong keeps the first thing that is wrong; readers then give zeros, and whoever uses them looks at err.
func (o *object) wrong(format string, args ...any) {
	if o.err == nil {
		o.err = seriatim.Reject("%s is not the expected JSON: %s", o.what, fmt.Sprintf(format, args...))
	}
}

func (o *object) member(name string) json.RawMessage {
	raw, ok := o.members[name]
	if !ok {
		o.wrong("`%s` is missing", name)
		return json.RawMessage("null")
	}
	return raw
}

var escapedReplacement = regexp.MustCompile(`(?i)\\ufffd|\x{FFFD}`)

func (o *object) text(name string) text {
	raw := o.member(name)
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		o.wrong("`%s` is no text", name)
		return ""
	}
	// encoding/json replaces half of a surrogate pair; it is no text.
	if strings.ContainsRune(*value, utf8.RuneError) && !escapedReplacement.Match(raw) {
		o.wrong("`%s` is no text", name)
	}
	return text(*value)
}

// signed reads a whole number of 32 bits; a fraction, an exponent or a signed zero make it none.
func (o *object) signed(name string) int32 {
	digits := string(o.member(name))
	number, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || digits == "-0" {
		o.wrong("`%s` is not a whole number of 32 bits", name)
	}
	return int32(number)
}

func (o *object) unsigned(name string, bits int) uint64 {
	number, err := strconv.ParseUint(string(o.member(name)), 10, bits)
	if err != nil {
		o.wrong("`%s` is not a whole number of %d bits, from 0", name, bits)
	}
	return number
}

func (o *object) isNull(name string) bool { return string(o.member(name)) == "null" }

func (o *object) signedOrNull(name string) *int32 {
	if o.isNull(name) {
		return nil
	}
	number := o.signed(name)
	return &number
}

func (o *object) unsignedOrNull(name string) *uint32 {
	if o.isNull(name) {
		return nil
	}
	number := uint32(o.unsigned(name, 32))
	return &number
}

func (o *object) flight() flight {
	return flight{o.text("carrier"), uint32(o.unsigned("flight", 32)), o.text("origin"), o.text("dest")}
}

// objectOrNull hands the object under a name to a reader, unless it is null.
func (o *object) objectOrNull(name string, read func(*object)) {
	if !o.isNull(name) {
		o.object(name, read)
	}
}

func (o *object) object(name string, read func(*object)) {
	inner := decode(o.what, o.member(name))
	read(inner)
	if o.err == nil {
		o.err = inner.err
	}
}
