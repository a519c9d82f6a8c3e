"""What the built-in model's closed domain talks about: sentence templates and the words that fill their slots.

A template names a slot in braces: another rule here, or a number rule of `training.grammar`. To widen the domain,
add templates and words; a line that stands twice is drawn twice as often.
"""

from __future__ import annotations


def listed(words: str, separator: str = " ") -> list[str]:
    """The words of a line; lists read better that way."""
    return words.split(separator)


# fmt: off
RULES: dict[str, list[str]] = {
    "sentence": [
        "{command}", "{command}", "{home}", "{home}", "{time_talk}", "{time_talk}", "{date_talk}",
        "{date_talk}", "{money_talk}", "{number_talk}", "{number_talk}", "{digits_talk}", "{small_talk}",
        "{travel}", "{weather}", "{food}", "{people}", "{code}", "{count}",
    ],
    "command": [
        "Set a timer for {duration}", "Set an alarm for {clock}", "Cancel the {alarm}", "Stop the {alarm}",
        "Start the timer", "Wake me up at {clock}", "Wake me up at {clock} on {weekday}", "Call {person}",
        "Call {person} at {clock}", "Send a message to {person}", "Send {person} a message", "Read my messages",
        "Read the next message", "Delete the last message", "Open the {app}", "Close the {app}",
        "Show me the {app}", "Play some {music}", "Play the next song", "Play track number {number}",
        "Pause the music", "Stop the music", "Turn the volume {up_down}", "Set the volume to {percent}",
        "Make it {louder}", "Next page", "Go back", "Go to page {number}", "Add {grocery} to the shopping list",
        "Remind me to {chore} at {clock}", "Remind me to {chore} on {weekday}", "Repeat that please",
        "Help me please", "Save the file", "Open file number {number}", "Print {small} copies",
        "Start recording", "Stop recording", "Take a note", "Please wait {duration}", "Find my {thing}",
        "Where is my {thing}?", "Search for {grocery}",
    ],
    "home": [
        "Turn {on_off} the {device}", "Turn {on_off} the {device} in the {room}", "Turn the {device} {on_off}",
        "Set the {room} to {temperature} degrees", "Open the {opening}", "Close the {opening}",
        "Lock the {opening}", "Open the {opening} in the {room}", "Is the {opening} open?",
        "Is the {device} on?", "Dim the lights", "Make the {room} {warmer}", "Clean the {room} at {clock}",
        "Start the {machine}", "Stop the {machine}", "The {machine} is ready",
        "The {device} in the {room} is {colour}", "Make the lights {colour}",
    ],
    "time_talk": [
        "It is {clock}", "What time is it?", "What time is it in {city}?", "It is {clock} in {city}",
        "The {event} starts at {clock}", "The {event} ends at {clock}", "See you at {clock}",
        "I will be there at {clock}", "The shop opens at {clock} and closes at {clock}", "It takes {duration}",
        "We have {duration} left", "The {event} lasts {duration}", "Come back in {duration}",
        "I have been waiting for {duration}",
    ],
    "date_talk": [
        "Today is {weekday}", "Today is {date}", "Tomorrow is {weekday}", "Yesterday was {weekday}",
        "The {event} is on {date}", "The {event} is on {weekday}", "My birthday is on {date}",
        "What day is it today?", "I was born in {month} {year}", "The year was {year}", "It happened in {year}",
        "See you on {weekday}", "See you next {weekday}", "The {event} was last {weekday}",
        "We are closed on {weekday}", "Move the {event} to {weekday}",
        "Move the {event} from {weekday} to {weekday}", "When is the {event}?",
        "Book a {event} for {weekday} at {clock}", "School starts in {month}", "{month} has thirty days",
    ],
    "money_talk": [
        "That costs {money}", "It costs {money}", "The {grocery} costs {money}",
        "I paid {money} for the {thing}", "The total is {money}", "Pay {person} {money}", "You owe me {money}",
        "The price is {money}", "How much is the {thing}?", "How much does it cost?", "The ticket is {money}",
        "I have {money} in the bank", "Send {money} to {person}",
    ],
    "number_talk": [
        "The answer is {number}", "The number is {number}", "{small} plus {small} is {number}",
        "{number} minus {small}", "{small} times {small} is {number}", "What is {number} plus {number}?",
        "There are {number} people here", "I have {small} {things}", "We need {small} more {things}",
        "It is {number} miles away", "The room number is {number}", "{percent} of the people said yes",
        "{number}", "{number} point {digit} {digit}", "I counted {number} {things}",
        "The score is {small} to {small}", "She is {age} years old", "It weighs {number} pounds",
    ],
    "digits_talk": [
        "{digits}", "{digits}", "The code is {digits}", "My number is {digits}", "Call {digits}",
        "Dial {digits}", "The password is {digits}", "Flight number {digits}",
    ],
    "small_talk": [
        "Hello", "Hello world", "Hello {person}", "Hello, how are you?", "Good morning",
        "Good morning {person}", "Good afternoon", "Good evening {person}", "Good night", "Goodbye",
        "Goodbye {person}", "Thank you", "Thank you very much", "Thank you {person}", "You are welcome",
        "Welcome home", "Yes", "No", "Yes please", "No thank you", "Okay", "I am sorry", "Please help me",
        "How are you today?", "I am fine", "That is right", "That is wrong", "I do not know", "I like {music}",
        "My favourite colour is {colour}", "Nice to meet you", "What is your name?", "My name is {person}",
        "This is a test", "Can you hear me?", "One moment please",
    ],
    "travel": [
        "Turn left in {number} yards", "Turn right at the next light",
        "Take the {ordinal} street on the {left_right}", "The train to {city} leaves at {clock}",
        "The train from {city} arrives at {clock}", "Drive to {city}", "The bus leaves in {duration}",
        "The flight to {city} is late", "How far is it to {city}?", "Stop the car",
        "The train leaves from platform {small}", "I live in {city}", "Take bus number {number}",
        "We fly to {city} on {weekday}", "The {thing} is on the {ordinal} floor",
        "Go straight and turn {left_right}",
    ],
    "weather": [
        "It is {weather_word} today", "It was {weather_word} yesterday", "It will be {weather_word} tomorrow",
        "It will be {weather_word} on {weekday}", "Will it rain tomorrow?", "What is the weather in {city}?",
        "It is {temperature} degrees in {city}", "The temperature is {temperature} degrees",
        "It is {weather_word} and {weather_word} in {city}", "The sun is shining", "The wind is strong",
    ],
    "food": [
        "I would like {small} {grocery}", "Can I have {some} {grocery} please?", "Buy {some} {grocery}",
        "We need {some} {grocery} and {grocery}", "Breakfast is at {clock}", "Dinner is ready",
        "Lunch is at {clock}", "Cook the {grocery} for {duration}", "A cup of {drink} please",
        "Two cups of {drink} please", "I drink {drink} in the morning", "The {grocery} is in the kitchen",
        "A table for {small} at {clock}",
    ],
    "people": [
        "{person} is in the {room}", "{person} and {person} are here", "Where is {person}?",
        "{person} lives in {city}", "{person} is my {relative}", "My {relative} is {age} years old",
        "My {relative} works on {weekday}", "Meet {person} at {clock}", "{person} called you at {clock}",
        "Is {person} at home?", "Ask {person} about the {event}",
    ],
    "code": [
        "{nato} {nato}", "{nato} {nato} {nato}", "{nato} {nato} {digit} {digit}",
        "The word is {nato} {nato} {nato}", "Gate {nato} {small}", "This is {nato} {nato} {digit}",
        "Seat {small} {nato}",
    ],
    "count": [
        "One two three", "One two three four five", "One two three testing", "Six seven eight nine ten",
        "{ordinal} and {ordinal}", "The {ordinal} of the {ordinal}", "Number {number}", "Step {small}",
        "Question {small}", "Chapter {small}", "Ten nine eight seven six five four three two one zero",
    ],
    "alarm": ["alarm", "timer", "meeting", "order"],
    "weekday": listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "month": listed("January February March April May June July August September October November December"),
    "person": [
        *listed("Anna Ben Maria David Emma Peter Lucy Tom Sarah Michael Julia Robert Alice Henry"), "my mother",
    ],
    "app": listed("calendar camera map mail window photo list message game"),
    "music": listed("music|jazz|rock music|piano music|a song|the radio|quiet music", "|"),
    "up_down": ["up", "down"],
    "louder": ["louder", "quieter", "faster", "slower", "brighter", "darker"],
    "warmer": ["warmer", "colder", "brighter", "darker"],
    "on_off": ["on", "off"],
    "left_right": ["left", "right"],
    "device": listed("light|lights|heater|fan|radio|television|lamp|camera|computer|oven", "|"),
    "machine": listed("washing machine|dishwasher|coffee machine|printer|car", "|"),
    "room": listed("kitchen|bedroom|living room|bathroom|garden|garage|office|hall", "|"),
    "opening": listed("door|window|garage|gate|front door|back door|box", "|"),
    "event": listed("meeting concert party lesson game movie dinner class show interview appointment"),
    "thing": listed("phone book key bag car watch camera ticket letter table coat hat"),
    "things": listed(
        "books tickets apples letters chairs keys cars boxes dogs cats children friends minutes dollars"
    ),
    "grocery": listed(
        "bread milk butter cheese apples eggs rice water sugar salt soup chicken fish tomatoes oranges"
    ),
    "drink": listed("coffee tea milk water juice"),
    "some": ["some", "more", "a little", "a lot of"],
    "chore": [
        "call {person}", "buy {grocery}", "feed the cat", "walk the dog", "water the plants", "pay the bill",
        "close the window", "take my medicine", "wash the car",
    ],
    "city": [
        *listed("London Paris Berlin Boston Chicago Dublin Madrid Rome Tokyo Sydney Denver Vienna"), "New York",
    ],
    "colour": listed("red green blue yellow white black orange purple brown grey"),
    "weather_word": listed("sunny cloudy windy cold warm hot wet dry rainy foggy"),
    "relative": listed("mother father brother sister son daughter friend teacher doctor neighbour"),
    "nato": listed(
        "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa "
        "quebec romeo sierra tango uniform victor whiskey xray yankee zulu"
    ),
}
# fmt: on
