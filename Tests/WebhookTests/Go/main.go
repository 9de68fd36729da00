// Writes what Go reads in the texts of the table below, one line of JSON for each: decoded.jsonl, with which the scanner is
// compared. Debian 12: apt-get install golang-go golang-k8s-sigs-json-dev golang-github-json-iterator-go-dev, then
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run main.go > decoded.jsonl
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	jsoniter "github.com/json-iterator/go"
	kubernetes "sigs.k8s.io/json"
)

// As in k8s.io/api/admission/v1, without what the scanner skips.
type triple struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

type resource struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
}

type userInfo struct {
	Username string              `json:"username,omitempty"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

type request struct {
	UID         string          `json:"uid"`
	Kind        triple          `json:"kind"`
	Resource    resource        `json:"resource"`
	SubResource string          `json:"subResource,omitempty"`
	Name        string          `json:"name,omitempty"`
	Namespace   string          `json:"namespace,omitempty"`
	Operation   string          `json:"operation"`
	UserInfo    userInfo        `json:"userInfo"`
	Object      json.RawMessage `json:"object,omitempty"`
	DryRun      *bool           `json:"dryRun,omitempty"`
}

type review struct {
	Kind       string   `json:"kind,omitempty"`
	APIVersion string   `json:"apiVersion,omitempty"`
	Request    *request `json:"request,omitempty"`
}

// What decides; nil: the text is refused.
type fields struct {
	Kind, APIVersion, UID, Namespace, Name, Operation, SubResource, Resource, Username string
	Groups                                                                             []string
	DryRun                                                                             bool
}

type line struct {
	Case string
	// Whether the scanner takes it; where it does, it must read what each of the three reads.
	Taken bool
	// In base64: some are no UTF-8.
	Body []byte
	// The same for people.
	Text string
	// encoding/json, which Go programs use; sigs.k8s.io/json, with which API servers read since 1.23; json-iterator as
	// API servers before that had it.
	Go, Kubernetes, JSONIterator *fields
}

func read(body []byte, decode func([]byte, interface{}) error) *fields {
	var r review
	if err := decode(body, &r); err != nil {
		return nil
	}
	f := &fields{Kind: r.Kind, APIVersion: r.APIVersion}
	if q := r.Request; q != nil {
		f.UID, f.Namespace, f.Name, f.Operation, f.SubResource = q.UID, q.Namespace, q.Name, q.Operation, q.SubResource
		f.Resource, f.Username, f.Groups = q.Resource.Resource, q.UserInfo.Username, q.UserInfo.Groups
		f.DryRun = q.DryRun != nil && *q.DryRun
	}
	return f
}

var oldKubernetes = jsoniter.Config{
	EscapeHTML: true, SortMapKeys: true, ValidateJsonRawMessage: true, CaseSensitive: true,
}.Froze()

func write(name string, taken bool, body []byte) {
	l := line{Case: name, Taken: taken, Body: body, Text: strings.ToValidUTF8(string(body), "\u25a1")}
	l.Go = read(body, json.Unmarshal)
	l.Kubernetes = read(body, kubernetes.UnmarshalCaseSensitivePreserveInts)
	l.JSONIterator = read(body, oldKubernetes.Unmarshal)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	if err := out.Encode(l); err != nil {
		panic(err)
	}
}

const (
	user = `"userInfo":{"username":"x"}`
	head = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",`
)

// The members of the review behind kind and apiVersion.
var cases = []struct {
	name  string
	taken bool
	text  string
}{
	{"plain", true, `"request":{"uid":"u","namespace":"a",` + user + `}`},

	// Keys.
	{"key in upper case beside the right one", false, `"request":{"uid":"u","namespace":"a","NAMESPACE":"b",` + user + `}`},
	{"key in upper case alone", false, `"request":{"uid":"u","Namespace":"b",` + user + `}`},
	{"request in another case", false, `"request":{"uid":"u","namespace":"a",` + user + `},"Request":{"namespace":"b"}`},
	{"userInfo in another case", false, `"request":{"uid":"u","namespace":"a",` + user + `,"USERINFO":{"username":"y"}}`},
	{"username in another case", false, `"request":{"uid":"u","userInfo":{"username":"x","userName":"y"}}`},
	{"kind with a Kelvin sign", false, `"request":{"uid":"u","namespace":"a",` + user + "},\"\u212aind\":\"Pod\""},
	{"namespace with a long s", false, "\"request\":{\"uid\":\"u\",\"namespace\":\"a\",\"name\u017fpace\":\"b\"," + user + `}`},
	{"username with a long s", false, "\"request\":{\"uid\":\"u\",\"userInfo\":{\"username\":\"x\",\"u\u017fername\":\"y\"}}"},
	{"escaped key", true, `"request":{"uid":"u","na\u006despace":"a",` + user + `}`},
	{"wholly escaped key", true, `"request":{"uid":"u","\u006e\u0061\u006d\u0065\u0073\u0070\u0061\u0063\u0065":"a",` + user + `}`},
	{"escaped key in another case", false, `"request":{"uid":"u","namespace":"a","\u004eamespace":"b",` + user + `}`},
	{"key with a zero byte behind", true, `"request":{"uid":"u","namespace":"a","namespace\u0000":"b",` + user + `}`},
	{"key with a space behind", true, `"request":{"uid":"u","namespace":"a","namespace ":"b",` + user + `}`},
	{"key with half a pair behind", false, `"request":{"uid":"u","namespace":"a","namespace\ud800":"b",` + user + `}`},
	{"key that is not ASCII", false, "\"request\":{\"uid\":\"u\",\"namespace\":\"a\",\"\u00e9\":\"b\"," + user + `}`},
	{"key that is not UTF-8", false, "\"request\":{\"uid\":\"u\",\"namespace\":\"a\",\"namespace\xff\":\"b\"," + user + `}`},
	{"key with dots", true, `"request.namespace":"b","request":{"uid":"u","namespace":"a","userInfo.username":"y",` + user + `}`},

	// Duplicates.
	{"two namespaces", true, `"request":{"uid":"u","namespace":"a","namespace":"b",` + user + `}`},
	{"a namespace and its escaped twin", true, `"request":{"uid":"u","namespace":"a","namesp\u0061ce":"b",` + user + `}`},
	{"null behind a namespace", true, `"request":{"uid":"u","namespace":"a","namespace":null,` + user + `}`},
	{"two requests", true, `"request":{"uid":"u","namespace":"a","name":"n",` + user + `},"request":{"namespace":"b"}`},
	{"null behind a request", false, `"request":{"uid":"u","namespace":"a",` + user + `},"request":null`},
	{"a request behind null", true, `"request":{"uid":"u","namespace":"a",` + user + `},"request":null,"request":{"uid":"v",` + user + `}`},
	{"two userInfos", true, `"request":{"uid":"u","userInfo":{"username":"x","groups":["g"]},"userInfo":{"username":"y"}}`},
	{"two userInfos, the second without a name", true, `"request":{"uid":"u","userInfo":{"username":"x"},"userInfo":{"groups":["g"]}}`},
	{"null behind userInfo", true, `"request":{"uid":"u",` + user + `,"userInfo":null}`},
	{"two groups", true, `"request":{"uid":"u","userInfo":{"username":"x","groups":["g","h"],"groups":["i"]}}`},
	{"null behind groups", true, `"request":{"uid":"u","userInfo":{"username":"x","groups":["g"],"groups":null}}`},
	{"empty behind groups", true, `"request":{"uid":"u","userInfo":{"username":"x","groups":["g"],"groups":[]}}`},
	{"two dryRuns", true, `"request":{"uid":"u","dryRun":true,"dryRun":false,` + user + `}`},
	{"null behind dryRun", true, `"request":{"uid":"u","dryRun":true,"dryRun":null,` + user + `}`},
	{"two resources", true, `"request":{"uid":"u","resource":{"resource":"pods","group":"g"},"resource":{"version":"v1"},` + user + `}`},
	{"two kinds of the review", true, `"kind":"Pod","kind":"AdmissionReview","request":{"uid":"u",` + user + `}`},

	// Values.
	{"invalid UTF-8 in a namespace", false, "\"request\":{\"uid\":\"u\",\"namespace\":\"a\xff\"," + user + `}`},
	{"invalid UTF-8 in the user's name", false, "\"request\":{\"uid\":\"u\",\"userInfo\":{\"username\":\"x\xc0\x80\"}}"},
	{"invalid UTF-8 in the object", false, "\"request\":{\"uid\":\"u\"," + user + ",\"object\":{\"a\":\"\xff\"}}"},
	{"a surrogate as three bytes", false, "\"request\":{\"uid\":\"u\",\"namespace\":\"\xed\xa0\x80\"," + user + `}`},
	{"half a pair in a namespace", false, `"request":{"uid":"u","namespace":"a\ud800",` + user + `}`},
	{"a reversed pair in a namespace", false, `"request":{"uid":"u","namespace":"\ude00\ud83d",` + user + `}`},
	{"half a pair in the object", true, `"request":{"uid":"u",` + user + `,"object":{"a":"\ud800"}}`},
	{"half a pair in extra", true, `"request":{"uid":"u","userInfo":{"username":"x","extra":{"\udc00":["\ud800"]}}}`},
	{"a pair", true, `"request":{"uid":"u","namespace":"\ud83d\ude00",` + user + `}`},
	{"a replacement character", true, `"request":{"uid":"u","namespace":"a\ufffd",` + user + `}`},
	{"an escaped zero", true, `"request":{"uid":"u","namespace":"a\u0000b",` + user + `}`},
	{"all short escapes", true, `"request":{"uid":"u","namespace":"\"\\\/\b\f\n\r\t",` + user + `}`},
	{"an escaped slash", true, `"request":{"uid":"u","namespace":"a\/b",` + user + `}`},
	{"an escape that JSON does not have", false, `"request":{"uid":"u","namespace":"\x61",` + user + `}`},
	{"an apostrophe escaped", false, `"request":{"uid":"u","namespace":"\'",` + user + `}`},
	{"a control byte in a namespace", false, "\"request\":{\"uid\":\"u\",\"namespace\":\"a\x01\"," + user + `}`},
	{"a tab in the object", false, "\"request\":{\"uid\":\"u\"," + user + ",\"object\":\"\t\"}"},
	{"DEL in a namespace", true, "\"request\":{\"uid\":\"u\",\"namespace\":\"a\x7f\"," + user + `}`},
	{"a number for a namespace", false, `"request":{"uid":"u","namespace":1,` + user + `}`},
	{"a list for the request", false, `"request":[]`},
	{"a text for userInfo", false, `"request":{"uid":"u","userInfo":"x"}`},
	{"a text for groups", false, `"request":{"uid":"u","userInfo":{"username":"x","groups":"g"}}`},
	{"an object for groups", false, `"request":{"uid":"u","userInfo":{"username":"x","groups":{}}}`},
	{"null among groups", false, `"request":{"uid":"u","userInfo":{"username":"x","groups":["g",null]}}`},
	{"a number among groups", false, `"request":{"uid":"u","userInfo":{"username":"x","groups":["g",1]}}`},
	{"a text for dryRun", false, `"request":{"uid":"u","dryRun":"true",` + user + `}`},
	{"a number for dryRun", false, `"request":{"uid":"u","dryRun":1,` + user + `}`},
	{"null for the user's name", false, `"request":{"uid":"u","userInfo":{"username":null}}`},
	{"null for userInfo", false, `"request":{"uid":"u","userInfo":null}`},
	{"no request", false, `"x":1`},

	// Grammar, in what is skipped.
	{"a large number", true, `"request":{"uid":"u",` + user + `,"object":1e999}`},
	{"a long number", true, `"request":{"uid":"u",` + user + `,"object":123456789012345678901234567890}`},
	{"a zero in front", false, `"request":{"uid":"u",` + user + `,"object":01}`},
	{"a plus in front", false, `"request":{"uid":"u",` + user + `,"object":+1}`},
	{"a dot at the end", false, `"request":{"uid":"u",` + user + `,"object":1.}`},
	{"NaN", false, `"request":{"uid":"u",` + user + `,"object":NaN}`},
	{"a comma at the end", false, `"request":{"uid":"u",` + user + `,"object":[1,]}`},
	{"a comment", false, `"request":{"uid":"u",` + user + `,"object":1/**/}`},
	{"a key without quotes", false, `"request":{"uid":"u",` + user + `,"object":{a:1}}`},
	{"white space that JSON does not have", false, "\"request\":{\"uid\":\"u\"," + user + ",\"object\":\v1}"},
	{"white space that JSON has", true, "\"request\" \t:\r\n{ \"uid\":\"u\" ,\n" + user + "\t}"},
	{"another namespace in the object", true, `"request":{"object":{"namespace":"b","request":{"namespace":"c"}},"uid":"u","namespace":"a",` + user + `}`},
	{"an envelope as text in the object", true, `"request":{"object":"\"},\"namespace\":\"b\",\"x\":{\"","uid":"u","namespace":"a",` + user + `}`},
	{"a namespace beside the request", true, `"namespace":"b","request":{"uid":"u","namespace":"a",` + user + `}`},
}

func main() {
	for _, c := range cases {
		write(c.name, c.taken, []byte(head+c.text+"}"))
	}
	plain := head + `"request":{"uid":"u",` + user + `}}`
	write("a byte order mark in front", false, []byte("\xef\xbb\xbf"+plain))
	write("line feeds around", true, []byte("\n"+plain+"\n"))
	write("a second text behind", false, []byte(plain+plain))
	write("a zero byte behind", false, []byte(plain+"\x00"))
	write("a bracket behind", false, []byte(plain+"}"))
	write("cut off", false, []byte(plain[:len(plain)-1]))
	write("empty", false, nil)
	write("null", false, []byte("null"))
	for _, depth := range []int{998, 999} {
		nested := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		write(fmt.Sprintf("%d levels in the object", depth), depth == 998,
			[]byte(head+`"request":{"uid":"u",`+user+`,"object":`+nested+`}}`))
	}

	// What Go's encoder, which is the API server's, makes of the names that a caller may choose.
	dryRun := true
	for _, name := range []string{
		"system:serviceaccount:team-a:operator", "", "a\"b\\c", "<&>", "a\x00\x1f\x7fb", "\u2028\u2029", "a\xffb", "\xed\xa0\x80",
		"\xf0\x9f\x98", "é中😀", `\u0061`, `x","username":"admin`, "\r\n",
	} {
		r := review{
			Kind: "AdmissionReview", APIVersion: "admission.k8s.io/v1",
			Request: &request{
				UID: "u", Name: name, Namespace: "a", Operation: "CREATE", DryRun: &dryRun, Object: json.RawMessage("null"),
				UserInfo: userInfo{Username: "x" + name, Groups: []string{name}, Extra: map[string][]string{name: {name}}},
			},
		}
		var text bytes.Buffer
		if err := json.NewEncoder(&text).Encode(r); err != nil {
			panic(err)
		}
		write(fmt.Sprintf("encoder: %+q", name), true, text.Bytes())
	}
}
