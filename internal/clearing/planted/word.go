package planted

import "strings"

// Words that names are made of. None is a keyword, a builtin or a function of
// the standard libraries, and none speaks of what is wrong.
var (
	verbs = strings.Fields(`absorb adjust align anchor arrange assemble balance blend build carry carve cast chart clip
		collect compose consume convey craft decode derive digest draft emit enlist etch expand fetch file fit fold forge
		frame gather glean grade graft guide handle hoist infer inscribe install keep knit label lay learn lift list load
		lodge map mark match measure merge mint mount nest note order pack parse paste pick place plot post press probe
		process pull push quote raise rank reap recall record render resolve ripen roll route scan scoop settle shape
		shelve sift sketch slot smooth sort spin stack stage stamp stitch store sum survey sweep take tally thread tie tint
		trace track trade treat trim tune turn twist update usher vary visit walk weave weigh wind work yield`)
	nouns = strings.Fields(`acorn alder amber anvil apron arbor atlas aspen badge banner barley barrel basin beacon beetle
		bellows birch bishop bobbin bottle bough bramble brass brick bridge bronze bucket buckle burrow cabin cable candle
		canal canvas carbon cargo carpet castle cedar cellar chalk channel chapel chest cinder cipher citrus clover coast
		cobalt comet copper coral cotton cradle crane crate creek crest cross crown crystal cumin dahlia dairy daisy delta
		depot dial dome domain drawer drift drum dune eagle easel echo edge elbow elder ember engine ensign epoch estuary
		falcon fallow fathom feather fence fennel ferry fiber fiddle field finch flagon flint flora flute forest fossil
		fountain fresco furrow gable gadget galley gallon garden garnet gasket geyser ginger girder glacier glade glass
		granite grove gulf gully hamlet hammer harbor harvest hatch haven hazel hearth hedge heron hinge hollow honey
		horizon husk icicle indigo inlet iris island ivory jasmine jetty jigsaw juniper kayak kernel kettle kiln kite
		ladder lagoon lantern larch lattice laurel leaf ledge ledger lemon lever lilac linen lintel lobby locket loom
		lotus lumber magnet mallet mango manor maple marble margin market marsh meadow medal mesa metal mill mirror moat
		mortar mosaic moss motor muslin mussel myrtle nectar needle nettle nickel nook nutmeg oasis oats ocean olive onyx
		opal orchard osprey otter oxide paddle pantry parcel pasture patch pebble pedal pepper petal pewter piano pigment
		pillar pine pivot plank plaza plum pocket pollen pond poplar porch portal prairie prism pulley quarry quartz quill
		quilt raft rail ramp raven ravine reed reef ribbon ridge ripple rivet robin rocket rope rose rudder saddle saffron
		sage sail sandal satin scroll sedge shard shelf shell shore shrub shuttle silk silver slate sleet socket spark
		sparrow spindle spire spoke spruce stable stanza steam stone strand straw sumac summit swan table tablet tallow
		tangle tassel teal temple thicket thistle throne thyme tile timber topaz torch tower trail trellis trout trunk
		tulip tundra turret valley vapor vault velvet veranda vessel vine violet wagon walnut warden willow window winter
		yarrow zephyr zinc`)
)
